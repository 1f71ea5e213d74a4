"""Weights kept while a run trains: kept without changing it, resumed, and measured."""

import csv
import shutil

import pytest
import torch

from ssl_methods.data.splits import load_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.evaluation.kept_weights import read_weights
from ssl_methods.training import loop
from ssl_methods.training.kept_weights import Snapshots
from ssl_methods.training.train import train


class Killed(BaseException):
    """Nothing in the harness catches it."""


def tiny_run(experiment, name="dtc", snapshots=3, validation_cases=1):
    training = {
        "iterations": 6, "patch_size": [16, 16, 16], "log_every": 3, "checkpoint_every": 3,
        "device": "cpu", "snapshots": snapshots,
    }  # fmt: skip
    declared = experiment(training=training, methods=[name], validation_cases=validation_cases)
    return declared.run(name, 2, 0, 0)


@pytest.fixture
def results(prepared_results, tmp_path):
    return shutil.copytree(prepared_results, tmp_path / "results")


def test_iterations_are_evenly_spaced_and_the_last_is_the_model(tmp_path):
    assert Snapshots(tmp_path, "key", 10, 6000).iterations == set(range(600, 6000, 600))
    assert Snapshots(tmp_path, "key", 4, 6).iterations == {2, 3, 4}
    for none in (0, 1):
        assert Snapshots(tmp_path, "key", none, 6000).iterations == set()
    assert len(Snapshots(tmp_path, "key", 100, 5).iterations) == 4


def test_what_is_kept_is_what_a_shorter_look_would_see_and_changes_nothing(
    experiment, results, tmp_path, monkeypatch
):
    train(tiny_run(experiment), results, tmp_path / "run")
    train(tiny_run(experiment, snapshots=0), results, tmp_path / "plain")
    weights = [torch.load(tmp_path / name / "model.pt") for name in ("run", "plain")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not (tmp_path / "plain/snapshots.pt").exists()
    kept = dict(read_weights(tmp_path / "run/snapshots.pt"))
    assert list(kept) == [2, 4] and kept[2].keys() == weights[0].keys()
    changed = [name for name in kept[2] if not torch.equal(kept[2][name], kept[4][name])]
    assert len(changed) > len(kept[2]) // 2

    original, steps = loop.step, iter(range(4))

    def step_or_die(*given):
        terms = original(*given)
        if next(steps, None) is None:
            raise Killed
        return terms

    monkeypatch.setattr(loop, "step", step_or_die)
    with pytest.raises(Killed):
        train(tiny_run(experiment), results, tmp_path / "resumed")
    monkeypatch.undo()
    train(tiny_run(experiment), results, tmp_path / "resumed")  # from iteration 3
    again = dict(read_weights(tmp_path / "resumed/snapshots.pt"))
    assert list(again) == [2, 4]
    for t in kept:
        assert all(torch.equal(kept[t][name], again[t][name]) for name in kept[t])


def test_weights_of_another_run_are_dropped(tmp_path):
    one, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    Snapshots(tmp_path, "one", 3, 9).keep(6, one)
    assert [t for t, _ in read_weights(tmp_path / "snapshots.pt")] == [6]
    Snapshots(tmp_path, "other", 3, 9).keep(3, other)
    ((t, weights),) = read_weights(tmp_path / "snapshots.pt")
    assert t == 3 and torch.equal(weights["weight"], other.weight)
    Snapshots(tmp_path, "third", 0, 9)
    assert not (tmp_path / "snapshots.pt").exists()


def rows_of(folder, name="snapshots.csv"):
    return list(csv.DictReader((folder / name).open()))


@pytest.mark.parametrize("validation_cases", [0, 1])
def test_each_is_measured_on_the_test_cases(experiment, results, tmp_path, validation_cases):
    run = tiny_run(experiment, validation_cases=validation_cases)
    train(run, results, tmp_path / "run")
    evaluate(tmp_path / "run", results)
    rows = rows_of(tmp_path / "run")
    split = load_split(run, Store.open(store_folder(run.dataset, results)), results)
    assert [(row["iteration"], row["case"]) for row in rows] == [
        (t, case) for t in ("2", "4", "6") for case in split.test
    ]
    for row, case in zip(rows[-len(split.test) :], rows_of(tmp_path / "run", "cases.csv"),
                         strict=True):  # fmt: skip
        names = ("case", "class", "dice", "jaccard", "asd_voxel", "hd95_voxel")
        assert [row[name] for name in names] == [case[name] for name in names]
    for row in rows:
        assert (row["validation_dice"] == "") == (validation_cases == 0)
        assert not row["validation_dice"] or 0 <= float(row["validation_dice"]) <= 1


def test_a_control_has_its_last_alone_and_a_lost_file_is_an_error(experiment, results, tmp_path):
    run = tiny_run(experiment, "empty", validation_cases=0)
    train(run, results, tmp_path / "empty")
    evaluate(tmp_path / "empty", results)
    assert {row["iteration"] for row in rows_of(tmp_path / "empty")} == {"6"}

    train(tiny_run(experiment, "supervised"), results, tmp_path / "run")
    (tmp_path / "run/snapshots.pt").unlink()
    with pytest.raises(UserError, match=r"snapshots\.pt: is missing; train again"):
        evaluate(tmp_path / "run", results)
