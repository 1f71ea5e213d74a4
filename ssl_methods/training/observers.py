"""What is told of a run while it trains: lines in the log, `progress.jsonl`, and to TensorBoard,
MLflow and Weights & Biases where they are wanted.

An observer sees each row of the history. Whatever it does changes no number.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ssl_methods.config import Run, digest
from ssl_methods.progress import Report
from ssl_methods.training.checkpoint import Row

log = logging.getLogger(__name__)


class Observer:
    """Says a line about every twentieth of the run."""

    def __init__(self, name: str) -> None:
        self.name, self.told = name, -1

    def see(self, row: Row, total: int) -> None:
        """A row of the history; ``total``: the iterations of the run."""
        iteration = int(row["iteration"])
        share = iteration * 20 // total
        if share > self.told:
            self.told = share
            log.info("%s  iteration %d of %d  %s", self.name, iteration, total, _terms(row))

    def close(self) -> None:
        """Nothing more is seen."""


class Several(Observer):
    """Observers, each of which sees each row; one of others' that fails is named and left."""

    def __init__(self, own: Sequence[Observer], of_others: Mapping[str, Observer]) -> None:
        self.own, self.of_others = own, dict(of_others)

    def see(self, row: Row, total: int) -> None:
        for observer in self.own:
            observer.see(row, total)
        self._each(lambda observer: observer.see(row, total))

    def close(self) -> None:
        for observer in self.own:
            observer.close()
        self._each(lambda observer: observer.close())

    def _each(self, do: Callable[[Observer], None]) -> None:
        for name, observer in list(self.of_others.items()):
            try:
                do(observer)
            except Exception as error:  # a server that is gone ends no training
                log.warning("%s: is told nothing more (%s)", name, error)
                del self.of_others[name]


class Progress(Observer):
    """Into `progress.jsonl`, which `watch` and the workflow's console read."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def see(self, row: Row, total: int) -> None:
        self.report.at(int(row["iteration"]), {k: v for k, v in row.items() if k != "iteration"})


class TensorBoard(Observer):
    """Into the folder `tensorboard` of the run."""

    def __init__(self, run: Run, out: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(out / "tensorboard"))

    def see(self, row: Row, total: int) -> None:
        for name, value in _values(row).items():
            self.writer.add_scalar(name, value, int(row["iteration"]))

    def close(self) -> None:
        self.writer.close()


class MLflow(Observer):
    """To the server, or into the file, that MLFLOW_TRACKING_URI names: a run of the experiment.

    A run that is resumed goes on in the one that it began.
    """

    def __init__(self, run: Run, out: Path) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self.metric, self.client = Metric, MlflowClient()
        named = self.client.get_experiment_by_name(run.experiment)
        experiment = named.experiment_id if named else self.client.create_experiment(run.experiment)
        own = run.folder.as_posix()
        found = self.client.search_runs([experiment], f"tags.folder = '{own}'", max_results=1)
        if found:
            self.run = found[0].info.run_id
            self.client.update_run(self.run, status="RUNNING")
        else:
            self.run = self.client.create_run(experiment, run_name=own).info.run_id
            self.client.set_tag(self.run, "folder", own)
            for name, value in _settings(run).items():
                self.client.log_param(self.run, name, value)

    def see(self, row: Row, total: int) -> None:
        now, iteration = int(time.time() * 1000), int(row["iteration"])
        metrics = [self.metric(name, value, now, iteration) for name, value in _values(row).items()]
        self.client.log_batch(self.run, metrics=metrics)

    def close(self) -> None:
        self.client.set_terminated(self.run)


class WeightsAndBiases(Observer):
    """To the project that WANDB_PROJECT names; WANDB_MODE=offline keeps it on this machine."""

    def __init__(self, run: Run, out: Path) -> None:
        import wandb

        own = run.folder.as_posix()
        self.run = wandb.init(
            name=own,
            id=digest(own),
            resume="allow",
            group=run.experiment,
            config=_settings(run),
            dir=str(out),
            settings=wandb.Settings(console="off"),  # what is printed is the run's own log
        )

    def see(self, row: Row, total: int) -> None:
        self.run.log(_values(row), step=int(row["iteration"]))

    def close(self) -> None:
        self.run.finish()


def observers(run: Run, out: Path) -> dict[str, Observer]:
    """Those of other projects that are wanted: each is asked for by its own variable.

    TensorBoard is wanted where it is installed. What is wanted and cannot be is said.
    """
    wanted: dict[str, tuple[Callable[[Run, Path], Observer], str]] = {
        "TensorBoard": (TensorBoard, ""),
        "MLflow": (MLflow, "MLFLOW_TRACKING_URI"),
        "Weights & Biases": (WeightsAndBiases, "WANDB_PROJECT"),
    }
    found: dict[str, Observer] = {}
    for name, (make, variable) in wanted.items():
        if variable and not os.environ.get(variable):
            continue
        try:
            found[name] = make(run, out)
        except Exception as error:  # of others, who may raise anything
            if variable:
                log.warning("%s is set, but %s is told nothing (%s)", variable, name, error)
    return found


def _values(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "iteration"}


def _terms(row: Row) -> str:
    return "  ".join(f"{key} {value:.4g}" for key, value in _values(row).items())


def _settings(run: Run) -> dict[str, str | int | float]:
    """What tells one run of an experiment from another."""
    return {
        "method": run.name,
        "recipe": run.choice.recipe,
        "budget": run.budget,
        "subset": run.subset,
        "seed": run.seed,
        "iterations": run.training.iterations,
        "settings": run.training_digest(),
    }
