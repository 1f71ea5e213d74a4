"""One run from prepared data to its records: resume, faults, and what must not change a result."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from ssl_methods import methods
from ssl_methods.config import load_run
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.training import loop
from ssl_methods.training.checkpoint import Checkpoint
from ssl_methods.training.loop import TrainingDiverged
from ssl_methods.training.train import train


@pytest.fixture
def results(prepared_results, tmp_path):
    return shutil.copytree(prepared_results, tmp_path / "results")


# That every method resumes exactly, learns in 2D and from several classes, and trains where all
# cases are labeled is checked in ssl_methods/checks/; here, that the verb `train` keeps it so.


def tiny_run(experiment, name="dtc", **training):
    defaults = {
        "iterations": 6,
        "patch_size": [16, 16, 16],
        "log_every": 2,
        "checkpoint_every": 2,
        "device": "cpu",
    }
    return experiment(training=defaults | training, methods=[name]).run(name, 2, 0, 0)


def model(folder):
    return torch.load(folder / "model.pt", weights_only=True)


class Killed(BaseException):
    """Nothing in the harness catches it."""


def interrupt_after(monkeypatch, iterations):
    """Stop training the hard way, after the weights have changed in the step that follows."""
    original, steps = loop.step, iter(range(iterations))

    def step_or_die(*given):
        terms = original(*given)
        if next(steps, None) is None:
            raise Killed
        return terms

    monkeypatch.setattr(loop, "step", step_or_die)


def test_writes_everything(experiment, results, tmp_path):
    run = tiny_run(experiment)
    train(run, results, tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir() if p.is_file()} - {".lock"} == {
        "run.yaml",
        "model.pt",
        "history.csv",
        "cost.json",
        "provenance.json",
        "progress.jsonl",
        "checkpoint.pt",
    }
    assert load_run(tmp_path / "run" / "run.yaml") == run
    assert yaml.safe_load((tmp_path / "run/run.yaml").read_text())["method_settings"]["k"] == 1500
    rows = list(csv.DictReader((tmp_path / "run/history.csv").open()))
    assert [int(row["iteration"]) for row in rows] == [1, 2, 4, 6]
    for row in rows:
        terms = ("cross_entropy", "dice", "level_set", "consistency")
        expected = sum(float(row[term]) * float(row[f"weight_{term}"]) for term in terms)
        assert float(row["loss"]) == pytest.approx(expected)
    cost = json.loads((tmp_path / "run/cost.json").read_text())
    assert 0 < cost["train_seconds"] <= cost["wall_seconds"]
    assert cost["forward_passes_per_iteration"] == 1
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    weights = [p for name, p in model(tmp_path / "run").items() if not name.endswith(statistics)]
    assert cost["parameters"] == sum(p.numel() for p in weights)


def test_mean_teacher_needs_two_forward_passes(experiment, results, tmp_path):
    train(tiny_run(experiment, "mean_teacher"), results, tmp_path / "run")
    assert json.loads((tmp_path / "run/cost.json").read_text())["forward_passes_per_iteration"] == 2


def released(experiment, name):
    run = tiny_run(experiment, name)
    return run.model_copy(
        update={"choice": run.choice.model_copy(update={"recipe": "as_released"})}
    )


@pytest.mark.system
def test_the_released_loop_and_settings_of_this_budget_are_recorded(experiment, results, tmp_path):
    train(released(experiment, "sassnet"), results, tmp_path / "run")
    recorded = yaml.safe_load((tmp_path / "run/run.yaml").read_text())
    loop, own = recorded["training"], recorded["method_settings"]
    assert (loop["precision"], loop["orientations"], loop["crop"]) == (
        *("float32", "released", "released"),
    )
    assert (own["weight"], own["discriminator_width"]) == (0.015, 64)  # of two labeled cases
    assert json.loads((tmp_path / "run/provenance.json").read_text())["precision"] == "float32"


def test_the_history_has_the_rates_of_the_released_schedule(experiment, results, tmp_path):
    train(released(experiment, "entropy_minimization"), results, tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run/history.csv").open()))
    found = {int(row["iteration"]): float(row["learning_rate"]) for row in rows}
    expected = {n: 0.01 * (1 - (n - 1) / 6) ** 0.9 for n in (1, 2, 4, 6)}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [("bcp", "sgd"), ("supervised", "adamw")],  # stages; another optimiser's state
)
def test_resume_is_exact_to_the_bit(experiment, results, tmp_path, monkeypatch, name, optimizer):
    run = tiny_run(experiment, name, optimizer=optimizer)
    train(run, results, tmp_path / "whole")
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Killed):
        train(run, results, tmp_path / "broken")
    assert (tmp_path / "broken/checkpoint.pt").exists()
    monkeypatch.undo()
    train(run, results, tmp_path / "broken")
    assert not (tmp_path / "broken/checkpoint-previous.pt").exists()
    for file in ("model.pt", "history.csv"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()
    provenance = json.loads((tmp_path / "broken/provenance.json").read_text())
    assert provenance["resumed_from"] == [4]


def test_two_runs_are_equal_and_two_seeds_are_not(experiment, results, tmp_path):
    run = tiny_run(experiment)
    for folder, which in (
        ("a", run),
        ("b", run),
        ("c", run.model_copy(update={"seed": 1})),
    ):
        train(which, results, tmp_path / folder)
    first, second, other = ((tmp_path / folder / "model.pt").read_bytes() for folder in "abc")
    assert first == second != other


@pytest.mark.parametrize("name", ["dtc", "bcp", "mean_shape"])
def test_labels_of_unlabeled_cases_change_nothing(experiment, results, tmp_path, name):
    run = tiny_run(experiment, name)
    train(run, results, tmp_path / "clean")
    folder = store_folder(run.dataset, results)
    for case in make_split(Store.open(folder), 2, 0).unlabeled:
        path = folder / "cases" / case / "label.npy"
        np.save(path, 255 - np.load(path))
    train(run, results, tmp_path / "poisoned")
    assert (tmp_path / "clean/model.pt").read_bytes() == (
        tmp_path / "poisoned/model.pt"
    ).read_bytes()


def test_a_changed_labeled_case_is_prepared_again_or_refused(experiment, results, tmp_path, caplog):
    run = tiny_run(experiment)
    train(run, results, tmp_path / "clean")
    folder = store_folder(run.dataset, results)
    case = make_split(Store.open(folder), 2, 0).labeled[0]
    path = folder / "cases" / case / "label.npy"
    prepared = path.read_bytes()
    np.save(path, 1 - np.load(path))
    train(run, results, tmp_path / "mended")
    assert f"case '{case}'" in caplog.text and "preparing the data again" in caplog.text
    assert path.read_bytes() == prepared
    assert (tmp_path / "clean/model.pt").read_bytes() == (tmp_path / "mended/model.pt").read_bytes()

    np.save(path, 1 - np.load(path))
    (folder / "source.txt").write_text("other scans\n")
    with pytest.raises(UserError, match=f"case '{case}': .*checksum differs"):
        train(run, results, tmp_path / "run")


def test_divergence_names_iteration_and_term(experiment, results, tmp_path):
    run = tiny_run(experiment, "sdf_multitask", learning_rate=1e30, iterations=20)
    with pytest.raises(
        TrainingDiverged,
        match=r"'(cross_entropy|dice|level_set)' became (nan|inf) at iteration \d+",
    ):
        train(run, results, tmp_path / "run")
    assert not (tmp_path / "run/model.pt").exists()


def test_divergence_keeps_the_last_good_checkpoint(experiment, results, tmp_path, monkeypatch):
    original = methods.method_class("sdf_multitask").segmentation_terms
    calls = [0]

    def poisoned(self, logits, labels):
        calls[0] += 1
        return original(self, logits * (float("nan") if calls[0] > 5 else 1.0), labels)

    monkeypatch.setattr(methods.method_class("sdf_multitask"), "segmentation_terms", poisoned)
    with pytest.raises(TrainingDiverged, match=r"iteration 6; the last checkpoint is"):
        train(tiny_run(experiment, "sdf_multitask"), results, tmp_path / "run")
    content = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert content["state"]["iteration"] == 4
    assert all(value.isfinite().all() for value in content["method"].values())


def killed_run(experiment, results, folder, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.raises(Killed):
        train(tiny_run(experiment), results, folder)
    monkeypatch.undo()


def test_a_broken_checkpoint_is_named_and_the_one_before_used(
    experiment, results, tmp_path, monkeypatch, caplog
):
    train(tiny_run(experiment), results, tmp_path / "whole")
    killed_run(experiment, results, tmp_path / "run", monkeypatch)
    newest = tmp_path / "run/checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    train(tiny_run(experiment), results, tmp_path / "run")
    assert f"{newest} is broken" in caplog.text
    assert json.loads((tmp_path / "run/provenance.json").read_text())["resumed_from"] == [2]
    assert (tmp_path / "run/model.pt").read_bytes() == (tmp_path / "whole/model.pt").read_bytes()


def test_a_checkpoint_of_other_settings_is_not_used(
    experiment, results, tmp_path, monkeypatch, caplog
):
    killed_run(experiment, results, tmp_path / "run", monkeypatch)
    train(tiny_run(experiment, learning_rate=0.02), results, tmp_path / "run")
    assert "of other settings" in caplog.text
    assert json.loads((tmp_path / "run/provenance.json").read_text())["resumed_from"] == []


def test_nothing_of_an_earlier_training_lies_beside_a_new_one(
    experiment, results, tmp_path, monkeypatch
):
    train(tiny_run(experiment), results, tmp_path / "run")
    for name in ("cases.csv", "slices.npz", "snapshots.csv"):
        (tmp_path / "run" / name).write_text("of the earlier model")
    changed = tiny_run(experiment, learning_rate=0.02)
    interrupt_after(monkeypatch, 3)
    with pytest.raises(Killed):
        train(changed, results, tmp_path / "run")
    left = {path.name for path in (tmp_path / "run").iterdir() if path.is_file()}
    kept = {"checkpoint.pt", "checkpoint-previous.pt", "progress.jsonl"}
    assert left - {".lock"} == kept


def test_validation_is_recorded_and_changes_nothing(experiment, results, tmp_path):
    defaults = {
        "iterations": 4,
        "patch_size": [16, 16, 16],
        "log_every": 2,
        "device": "cpu",
    }
    plain = experiment(training=defaults, validation_cases=1).run("dtc", 2, 0, 0)
    watched = experiment(training=defaults | {"validate_every": 2}, validation_cases=1).run(
        "dtc", 2, 0, 0
    )
    train(plain, results, tmp_path / "plain")
    train(watched, results, tmp_path / "watched")
    rows = list(csv.DictReader((tmp_path / "watched/history.csv").open()))
    assert [row["validation_dice"] != "" for row in rows] == [False, True, True]
    assert (tmp_path / "plain/model.pt").read_bytes() == (
        tmp_path / "watched/model.pt"
    ).read_bytes()


def test_2d(experiment, results, tmp_path):
    dataset = {
        "name": "flat",
        "importer": "phantom",
        "shape": [20, 24],
        "train_cases": 4,
        "test_cases": 1,
    }
    training = {"iterations": 2, "patch_size": [16, 16], "device": "cpu"}
    run = experiment(dataset=dataset, training=training, methods=["dtc"]).run("dtc", 2, 0, 0)
    train(run, results, tmp_path / "run")
    assert (tmp_path / "run/model.pt").exists()


def test_all_labeled(experiment, results, tmp_path):
    run = experiment(budgets=["all"], methods=["dtc"]).run("dtc", 1.0, 0, 0)
    train(run, results, tmp_path / "run")
    assert (tmp_path / "run/model.pt").exists()


def test_a_trained_run_is_not_trained_again_until_it_is_evaluated(experiment, results, tmp_path):
    run, folder = tiny_run(experiment), tmp_path / "run"
    train(run, results, folder)
    model, history, cost = (
        (folder / name).read_bytes() for name in ("model.pt", "history.csv", "cost.json")
    )
    for name in ("run.yaml", "model.pt", "history.csv", "cost.json", "provenance.json"):
        (folder / name).unlink()  # as Snakemake does before it runs a job again
    train(run, results, folder)
    assert json.loads((folder / "provenance.json").read_text())["resumed_from"] == [6]
    assert (folder / "model.pt").read_bytes() == model
    assert (folder / "history.csv").read_bytes() == history
    again, before = json.loads((folder / "cost.json").read_text()), json.loads(cost)
    for name in ("forward_passes_per_iteration", "parameters"):
        assert again[name] == before[name]


def test_checkpoint_keeps_the_newest_two(tmp_path):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    checkpoint = Checkpoint(tmp_path, "key", torch.device("cpu"))
    from ssl_methods.training.checkpoint import State

    for iteration in (1, 2, 3):
        checkpoint.save(module, [optimizer], State(iteration=iteration))
    assert checkpoint.restore(module, [optimizer]).iteration == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-previous.pt",
        "checkpoint.pt",
    ]
