"""What an experiment will cost: from finished runs, from a measurement, or said to be unknown."""

from __future__ import annotations

import json
import shutil

import pytest
from support import simulated
from support.simulated import experiment, write_results
from support.tiny import tiny_experiment

from ssl_methods.config import load_experiment
from ssl_methods.data.prepare import prepare
from ssl_methods.errors import UserError
from ssl_methods.files import write_json
from ssl_methods.training import plan as plan_module
from ssl_methods.training.detect import detect
from ssl_methods.training.plan import Cost, lines, plan

LEFT = tuple(("dtc", budget, subset, 0) for budget in ("16", "1.0") for subset in (0, 1, 2))


def costs(declared, results, seconds):
    for run in declared.runs():
        path = results / run.folder / "cost.json"
        if path.exists():
            cost = json.loads(path.read_text()) | {"seconds_per_iteration": seconds[run.subset]}
            path.write_text(json.dumps(cost))


def test_runs_left_times_the_median_of_those_that_are_done(tmp_path):
    declared = experiment()
    write_results(declared, tmp_path, missing=LEFT)
    costs(declared, tmp_path, {0: 0.5, 1: 0.25, 2: 0.75})
    (row,) = plan(declared, tmp_path)
    assert row[:4] == ("dtc", 6, 600, 0.5)
    assert lines([row], "simulated", 2)[-1] == (
        "simulated: 6 runs to train; 30 min of training, 15 min with 2 at a time"
    )


def test_other_settings_are_not_taken_for_these(tmp_path):
    write_results(experiment(), tmp_path, missing=LEFT)
    larger = experiment(training={"iterations": 600, "patch_size": [64, 64, 64]})
    (row,) = plan(larger, tmp_path)
    assert row.seconds is None
    longer = experiment(training={"iterations": 900, "patch_size": [32, 32, 32]})
    (row,) = plan(longer, tmp_path)
    assert row.seconds is not None


def test_nothing_left(tmp_path):
    write_results(experiment(), tmp_path)
    assert lines(plan(experiment(), tmp_path), "simulated") == ["simulated: every run is trained"]


def test_a_few_iterations_are_trained_and_remembered(tmp_path, prepared_results, experiment):
    declared = load_experiment(
        experiment(methods=["supervised", "dtc"], recipe="as_released").model_dump(mode="json")
    )
    results = shutil.copytree(prepared_results, tmp_path / "results")
    assert [row.seconds for row in plan(declared, results)] == [None, None]
    measured = plan(declared, results, measure=2)
    assert all(row.seconds and row.device == "cpu" and row.memory_mb > 10 for row in measured)
    assert plan(declared, results) == measured
    assert not (results / "tiny" / "runs").exists()
    kept = json.loads((results / "tiny" / "measured.json").read_text())
    assert kept["dtc"]["iterations"] == 2


def test_days_and_memory_are_said():
    rows = [Cost("dtc", 100, 6000, 0.5, "NVIDIA H100", 10_240.0)]
    assert lines(rows, "la", 2) == [
        "dtc   100 runs x 6000 iterations x 0.5 s = 3.5 days  (NVIDIA H100, 10.0 GiB)",
        "la: 100 runs to train; 3.5 days of training, 41.7 h with 2 at a time",
    ]


def test_the_unknown_is_said():
    rows = [Cost("dtc", 2, 6000, 0.3, "cpu"), Cost("supervised", 3, 6000, None, "")]
    assert lines(rows, "la", 4) == [
        "dtc            2 runs x 6000 iterations x 0.3 s = 1.0 h  (cpu)",
        "supervised     3 runs x 6000 iterations  not measured",
        "la: 5 runs to train; 1.0 h of training, 15 min with 4 at a time; 3 of them not measured",
    ]


def test_a_first_run_is_forecast_from_the_published_steps_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "ON_A_GPU", tmp_path / "gpu")
    declared = tiny_experiment(methods=["dtc", "supervised"])
    assert all(row.seconds is None for row in plan(declared, tmp_path))
    row = {"method": "dtc", "patch": "16x16x16", "width": 2, "precision": "auto"}
    row |= {"compile": "none", "harness, s": 0.5, "memory, GB": 3.0}
    write_json(tmp_path / "gpu" / "step.json", [row | {"width": 16, "harness, s": 9.0}, row])
    write_json(tmp_path / "gpu" / "step.machine.json", {"gpu": "a GPU"})
    found = {row.name: row for row in plan(declared, tmp_path)}
    assert (found["dtc"].seconds, found["dtc"].device) == (0.5, "benchmark on a GPU")
    assert found["supervised"].seconds is None


def test_what_can_be_detected_is_said_with_its_source_and_floor(tmp_path):
    experiment = tiny_experiment(methods=["supervised", "dtc"], budgets=[2], subsets=3)
    with pytest.raises(UserError, match="is not prepared; run 'prepare' first"):
        detect(experiment, tmp_path, 2.0)
    prepare(experiment.dataset, tmp_path)
    said = detect(experiment, tmp_path, 20.0)
    assert "the left atrium at 1.875 mm with 4 labels, 3 subsets; yours may differ" in said[0]
    assert said[1].startswith("  detectable points: ") and " with 24 subsets" in said[1]
    assert "more than declared)" in said[2]
    with pytest.raises(UserError, match=r"elsewhere/tables/comparisons.csv: is not there"):
        detect(experiment, tmp_path, 2.0, tmp_path / "elsewhere")
    other = simulated.collected(tmp_path, methods=["supervised", "dtc"], budgets=[2], subsets=6,
                                test_cases=24)  # fmt: skip
    like = detect(experiment, tmp_path, 2.0, tmp_path / other.name)
    assert "1 methods on 6 subsets" in like[0]
