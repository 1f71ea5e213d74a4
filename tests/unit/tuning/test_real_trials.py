"""Trials that train: what a value is, and what a kill leaves behind."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.studies import declare

from ssl_methods.tuning.answers import answer, trial_rows
from ssl_methods.tuning.worker import lay_out, open_study, work

pytestmark = pytest.mark.long

TRAINING = {"iterations": 40, "checkpoint_every": 5, "learning_rate": 0.05}


@pytest.fixture
def results(prepared_results: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared_results, tmp_path / "results")
    return tmp_path / "results"


def values(study, results: Path) -> list:
    found = trial_rows(study, open_study(study, results)["dtc"])
    return found[["trial", "state", "k", "weight", "validation_dice"]].values.tolist()


def test_a_killed_worker_costs_a_part_of_one_trial(results, tmp_path):
    study = declare(trials=2, training=TRAINING)
    shutil.copytree(results, tmp_path / "undisturbed")
    work(study, tmp_path / "undisturbed")

    lay_out(study, results)
    folder = results / study.folder
    command = [sys.executable, "-m", "ssl_methods", "tune", str(folder / "study.yaml")]
    command += ["--part", "work", "--results", str(results)]
    checkpoint = folder / "trials/dtc/1/subset-100/seed-0/checkpoint.pt"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as running:
        give_up = time.monotonic() + 200
        while not checkpoint.exists():
            assert time.monotonic() < give_up
            assert running.poll() is None
            time.sleep(0.005)
        os.kill(running.pid, signal.SIGKILL)
    assert not (checkpoint.parent / "provenance.json").exists()

    assert work(study, results) == 1
    record = json.loads((checkpoint.parent / "provenance.json").read_text())
    assert record["resumed_from"]
    found = trial_rows(study, open_study(study, results)["dtc"])
    assert list(found["attempts"]) == [1, 2]
    assert values(study, results) == values(study, tmp_path / "undisturbed")


def test_the_value_is_the_mean_validation_dice_of_the_runs(results):
    training = {"iterations": 6, "learning_rate": 0.05}
    study = declare(trials=2, subsets=[100, 101], seeds=[0, 1], fresh_seeds=[7], training=training)
    assert work(study, results) >= 3  # two trials, and the default (and the best) anew
    answer(study, results)
    folder = results / study.folder
    for slot, _, _, _, value in values(study, results):
        last = []
        for path in (folder / f"trials/dtc/{slot}").rglob("history.csv"):
            with path.open() as file:
                last.append(float(list(csv.DictReader(file))[-1]["validation_dice"]))
        assert len(last) == 4
        assert value == pytest.approx(sum(last) / 4)
    assert not list(folder.rglob("model.pt"))
    run = yaml.safe_load((folder / "trials/dtc/0/subset-101/seed-1/run.yaml").read_text())
    assert run["choice"]["settings"] == {"k": 1500.0, "weight": 1.0}
    split = json.loads((folder / "trials/dtc/0/subset-101/seed-1/provenance.json").read_text())
    cases = folder / "fresh/dtc/0/subset-101/seed-7/cases.csv"
    measured = {row["case"] for row in csv.DictReader(cases.open())}
    assert measured == set(split["split"]["validation"])
    assert not measured & {*split["split"]["test"], *split["split"]["labeled"]}
