"""Results without Snakemake's memory of them, and what was deleted of them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from support.harness import TINY, Workflow

pytestmark = pytest.mark.workflow

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
    assert copied.planned(TINY) == {}  # and stays so


def test_a_copy_of_other_settings_is_made_again(copied: Workflow):
    longer = TINY | {"training": TINY["training"] | {"iterations": 5}}
    assert copied.planned(longer) == ALL
    assert copied.planned(TINY) == {}  # what it is of is not forgotten meanwhile
    measured = TINY | {"evaluation": {"nsd_tolerance_mm": 2}}
    assert copied.planned(measured) == {rule: ALL[rule] for rule in ALL if rule != "train"}


def test_a_copy_of_other_data_is_trained_again(copied: Workflow):
    (manifest,) = copied.folder.glob("results/prepared/*/manifest.json")
    text = manifest.read_text()
    at = text.index('"image_sha256": "') + 17
    manifest.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    assert copied.planned(TINY)["train"] >= 1


def test_a_copy_without_its_prepared_store(copied: Workflow):
    shutil.rmtree(copied.folder / "results/prepared")
    done = copied.snakemake("-n", experiment=TINY)
    assert "Nothing to be done" in done.stdout
    assert "'prepare' it by hand before more are trained" in done.stdout


@pytest.mark.parametrize(
    ("deleted", "planned"),
    [
        ("results/tiny/figures", {"report": 1}),
        ("results/tiny/figures/*.png", {"report": 1}),
        ("results/tiny/tables/summary.tex", {"collect": 1, "report": 1}),
        ("results/tiny/tables/audits.md", {"collect": 1, "report": 1}),
        ("results/tiny/tables/ranks.csv", {"collect": 1, "report": 1}),
        ("results/tiny/tables", {"collect": 1, "report": 1}),
        (f"{RUN}/slices.npz", {"evaluate": 1, "collect": 1, "report": 1}),
        (f"{RUN}", {"train": 1, "evaluate": 1, "collect": 1, "report": 1}),
    ],
)
def test_what_is_deleted_is_made_again(copied: Workflow, deleted: str, planned: dict[str, int]):
    for path in list(copied.folder.glob(deleted)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert copied.planned(TINY) == planned


def test_what_only_training_brings_back_is_said(copied: Workflow):
    (copied.folder / RUN / "cost.json").unlink()
    done = copied.snakemake("-n", experiment=TINY)
    assert f"{RUN}/cost.json: is gone, and only training brings it back" in done.stdout
