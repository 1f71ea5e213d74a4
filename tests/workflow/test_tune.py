"""`snakemake tune`: a tiny study from nothing to its figures, again, and extended."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from support.harness import PROJECT, TINY, Workflow

from ssl_methods.config import load_experiment

pytestmark = [pytest.mark.workflow, pytest.mark.long]

STUDY = {
    "methods": {"dtc": {"search": ["k", "weight"]}},
    "trials": 3,
    "validation_cases": 1,
    "fresh_seeds": [],
    "training": {"iterations": 4},
}


def declared(**changes) -> dict:
    return TINY | {"studies": {"s": STUDY | changes}}


def trials(folder: Path) -> list[dict]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_from_nothing_to_an_answer_and_on(workflow: Workflow):
    jobs = {"tune", "tuning_layout", "tuning_work", "tuning_answers"}
    done = workflow.snakemake("tune", experiment=declared())
    assert done.returncode == 0, done.stdout
    folder = workflow.folder / "results/tiny/tuning/s"
    assert done.stdout.splitlines()[-1] == "results/tiny/tuning/s/best.yaml"
    found = trials(folder)
    assert [row["trial"] for row in found] == ["0", "1", "2"]
    assert {row["state"] for row in found} <= {"complete", "pruned"}
    assert (found[0]["k"], found[0]["weight"]) == ("1500", "1")
    assert (folder / "figures/history.png").stat().st_size > 0

    assert workflow.planned(declared(), "tune") == {}
    again = workflow.planned(declared(trials=4), "tune")
    assert set(again) == jobs
    assert again["tuning_work"] == 2

    best = str(folder / "best.yaml")
    tuned = declared() | {"methods": {"supervised": {}, "dtc": {}, "dtc_tuned": best}}
    row = load_experiment(tuned).methods["dtc_tuned"]
    assert row.settings["k"] == pytest.approx(
        max((float(it["validation_dice"] or -1), float(it["k"])) for it in found)[1], rel=1e-4
    )
    assert workflow.planned(tuned, "models")["train"] == 3


def test_a_study_file_is_a_target_of_its_own(workflow: Workflow):
    study = yaml.safe_load((PROJECT / "configs/studies/phantom.yaml").read_text())
    counts = workflow.planned(study)
    assert counts["tuning_work"] == 2
    assert "train" not in counts
    counts = workflow.planned(study | {"workers": 5}, "tune")
    assert counts["tuning_work"] == 5


def test_without_a_study_it_says_so(workflow: Workflow):
    done = workflow.snakemake("tune", "-n", experiment=TINY)
    assert done.returncode == 1
    assert "tiny: declares no study" in done.stdout


def test_a_study_is_checked_before_any_job(workflow: Workflow):
    done = workflow.snakemake("tune", "-n", experiment=declared(subsets=[0]))
    assert "error: tiny: studies.s: subset 0 with seed 0 is reported" in done.stdout
    assert "Traceback" not in done.stdout
