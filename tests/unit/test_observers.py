"""What is told of a run while it trains, to the log and to others' tools, without a network."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from ssl_methods.config import Run
from ssl_methods.training import observers as module
from ssl_methods.training.observers import Observer, Several, observers
from ssl_methods.training.train import train

VARIABLES = ("MLFLOW_TRACKING_URI", "WANDB_PROJECT")


@pytest.fixture(autouse=True)
def nothing_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(experiment) -> Run:
    return experiment().run("dtc", 2, 0, 0)


class Seen(Observer):
    def __init__(self, *_: Any) -> None:
        self.rows: list[dict[str, float]] = []
        self.closed = 0

    def see(self, row: dict[str, float], total: int) -> None:
        self.rows.append(dict(row))

    def close(self) -> None:
        self.closed += 1


class Broken(Seen):
    def see(self, row: dict[str, float], total: int) -> None:
        raise ConnectionError("the server is gone")


def test_one_that_fails_is_named_once_and_ends_nothing(caplog: pytest.LogCaptureFixture):
    own, other, broken = Seen(), Seen(), Broken()
    several = Several([own], {"Broken": broken, "Other": other})
    for iteration in (1, 2):
        several.see({"iteration": iteration, "loss": 0.5}, 2)
    several.close()
    assert len(own.rows) == len(other.rows) == 2 and own.closed == other.closed == 1
    (line,) = caplog.messages
    assert line == "Broken: is told nothing more (the server is gone)"


def test_what_is_wanted_and_cannot_be_is_said(run: Run, tmp_path: Path, monkeypatch, caplog):
    def absent(*_: Any) -> Observer:
        raise ImportError("No module named 'mlflow'")

    for name in ("TensorBoard", "MLflow", "WeightsAndBiases"):
        monkeypatch.setattr(module, name, absent)
    assert observers(run, tmp_path) == {} and not caplog.messages
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    assert observers(run, tmp_path) == {}
    assert caplog.messages == [
        "MLFLOW_TRACKING_URI is set, but MLflow is told nothing (No module named 'mlflow')"
    ]


def test_training_tells_them_every_row_and_gives_the_same_bits(
    run: Run, prepared_results: Path, tmp_path: Path, monkeypatch
):
    train(run, prepared_results, tmp_path / "alone")
    made: list[Seen] = []

    def watched(*_: Any) -> dict[str, Observer]:
        made.append(Seen())
        return {"seen": made[0], "broken": Broken()}

    monkeypatch.setattr("ssl_methods.training.train.observers", watched)
    train(run, prepared_results, tmp_path / "watched")
    for name in ("model.pt", "history.csv"):
        both = [(tmp_path / folder / name).read_bytes() for folder in ("alone", "watched")]
        assert both[0] == both[1]
    lines = (tmp_path / "watched/history.csv").read_text().splitlines()
    assert len(made[0].rows) == len(lines) - 1 and made[0].closed == 1


def seen(run: Run, out: Path, name: str) -> None:
    """A run that is told in two parts, as one that was resumed."""
    for rows in ((1, 2), (3,)):
        observer = observers(run, out)[name]
        for iteration in rows:
            observer.see({"iteration": iteration, "loss": 1 / iteration}, 3)
        observer.close()


def test_mlflow_has_one_run_with_every_row(run: Run, tmp_path: Path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    seen(run, tmp_path, "MLflow")
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name(run.experiment).experiment_id])
    assert found.info.run_name == run.folder.as_posix() and found.info.status == "FINISHED"
    assert found.data.params["method"] == "dtc" and found.data.params["subset"] == "0"
    history = client.get_metric_history(found.info.run_id, "loss")
    assert [(it.step, it.value) for it in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_weights_and_biases_keeps_it_here(run: Run, tmp_path: Path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_PROJECT", "segmentation")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    seen(run, tmp_path, "Weights & Biases")
    give_up = time.monotonic() + 60  # written by a process of theirs
    while not (kept := list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))) or not all(
        path.stat().st_size > 100 for path in kept
    ):
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_tensorboard_has_every_row(run: Run, tmp_path: Path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen(run, tmp_path, "TensorBoard")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [it.step for it in events.Scalars("loss")] == [1, 2, 3]
