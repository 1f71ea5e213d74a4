"""Results without Snakemake's memory of them, and what was deleted of them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from support.harness import TINY, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.system]

RUN = Path("results/tiny/runs/supervised/labeled-2/subset-0/seed-0")
ALL = {"train": 2, "evaluate": 2, "collect": 1, "report": 1}


@pytest.fixture
def copied(finished: tuple[Workflow, str], tmp_path: Path) -> Workflow:
    """Brought to another folder without `.snakemake`, with times of any order."""
    made, _ = finished
    shutil.copytree(made.folder / "results", tmp_path / "results")
    draw = random.Random(0)
    for path in sorted((tmp_path / "results").rglob("*")):
        os.utime(path, (1.7e9 + draw.randrange(10**7),) * 2)
    return Workflow(made.project, tmp_path)


def test_a_copy_is_as_good_as_where_it_was_made(copied: Workflow):
    assert copied.planned(TINY) == {}


def test_a_copy_of_other_settings_is_made_again(copied: Workflow):
    longer = TINY | {"training": TINY["training"] | {"iterations": 5}}
    assert copied.planned(longer) == ALL
    assert copied.planned(TINY) == {}  # what it is of is not forgotten meanwhile


def test_a_copy_of_other_data_is_trained_again(copied: Workflow):
    (manifest,) = copied.folder.glob("results/prepared/*/manifest.json")
    text = manifest.read_text()
    at = text.index('"image_sha256": "') + 17
    manifest.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    assert copied.planned(TINY)["train"] >= 1


def test_what_is_deleted_is_made_again(copied: Workflow):
    """A run; a measurement; tables; figures. One by one: tests/unit/test_recall.py."""
    shutil.rmtree(copied.folder / RUN)
    (copied.folder / str(RUN).replace("supervised", "dtc") / "slices.npz").unlink()
    (copied.folder / "results/tiny/tables/summary.tex").unlink()
    shutil.rmtree(copied.folder / "results/tiny/figures")
    assert copied.planned(TINY) == ALL | {"train": 1}


def test_what_no_job_brings_back_is_said(copied: Workflow):
    shutil.rmtree(copied.folder / "results/prepared")
    (copied.folder / RUN / "cost.json").unlink()
    done = copied.snakemake("-n", experiment=TINY)
    assert "Nothing to be done" in done.stdout
    assert "'prepare' it by hand before more are trained" in done.stdout
    assert f"{RUN}/cost.json: is gone, and only training brings it back" in done.stdout
