"""The verb `plan`: what an experiment will cost before it starts, runs times measured seconds.

In: an experiment and its results folder. Out: per method, the runs that are still to be trained and
the seconds of an iteration: of its finished runs, of a few iterations trained for it now
(``measure``), which are kept in ``results/<experiment>/measured.json``, or of the benchmarks that
were published for a GPU. What nobody measured with these settings is said to be not measured.
"""

from __future__ import annotations

import tempfile
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ssl_methods import methods, project
from ssl_methods.config import Experiment, Run, digest, load_run
from ssl_methods.data.compared import runs_of
from ssl_methods.errors import UserError
from ssl_methods.files import read_json, write_json

ENOUGH = 3  # finished runs of a method that are asked for their seconds
# Steps of all methods on a GPU, where a checkout has them (benchmarks/gpu_day.py --publish).
ON_A_GPU = project.FOLDER / "benchmarks" / "measured" / "gpu"


Known = tuple[float | None, str, float]  # seconds of an iteration, device, peak memory in MB


class Cost(NamedTuple):
    """What the runs of one method that are left will cost."""

    name: str
    runs: int
    iterations: int
    seconds: float | None  # of one iteration
    device: str  # on which it was measured
    memory_mb: float = 0.0  # the peak; 0: not measured


def plan(experiment: Experiment, results: Path, measure: int = 0) -> list[Cost]:
    """One row per method with runs left to train; ``measure``: iterations to train where nothing is
    known.

    Raises UserError if a run cannot be trained.
    """
    rows = []
    for name, own in groupby(runs_of(experiment, results), key=lambda run: run.name):
        runs = list(own)
        left = [run for run in runs if not (results / run.folder / "cost.json").exists()]
        if not left:
            continue
        known = _of_finished_runs(runs, results) or _of_earlier_measurement(left[0], results)
        if known is None and measure:
            known = _measured_now(left[0], results, measure)
        known = known or _of_the_benchmarks(left[0])
        known = known or (None, "", 0.0)
        rows.append(Cost(name, len(left), experiment.training.iterations, *known))
    return rows


def lines(rows: list[Cost], experiment: str, devices: int = 1) -> list[str]:
    """The plan as text, its sum last."""
    if not rows:
        return [f"{experiment}: every run is trained"]
    width = max(len(row.name) for row in rows)
    found = []
    for row in rows:
        what = f"{row.name:{width}}  {row.runs:4d} runs x {row.iterations} iterations"
        found.append(
            f"{what}  not measured"
            if row.seconds is None
            else f"{what} x {row.seconds:.3g} s = {long(_seconds(row))}  ({_where(row)})"
        )
    known = [row for row in rows if row.seconds is not None]
    runs = sum(row.runs for row in rows)
    total = sum(map(_seconds, known))
    text = f"{experiment}: {runs} runs to train"
    if known:
        text += f"; {long(total)} of training, {long(total / devices)} with {devices} at a time"
    if len(known) < len(rows):
        text += f"; {sum(row.runs for row in rows if row.seconds is None)} of them not measured"
    return [*found, text]


def _seconds(row: Cost) -> float:
    return row.runs * row.iterations * (row.seconds or 0.0)


def _where(row: Cost) -> str:
    return row.device + (f", {row.memory_mb / 1024:.1f} GiB" if row.memory_mb else "")


def long(seconds: float) -> str:
    """'40 s', '12 min', '3.5 h', '2.1 days'"""
    hours = seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 99.5 else f"{seconds:.0f} s"


def _of_finished_runs(runs: list[Run], results: Path) -> Known | None:
    """The median over a few finished runs of these settings; of memory the most."""
    seconds: list[float] = []
    device, memory = "", 0.0
    for run in runs:
        folder = results / run.folder
        if len(seconds) < ENOUGH and (folder / "cost.json").exists():
            try:
                same = _settings(load_run(folder / "run.yaml")) == _settings(_as_trained(run))
            except UserError:
                continue
            cost = read_json(folder / "cost.json")
            if same:
                seconds.append(cost["seconds_per_iteration"])
                device = cost["device"]
                memory = max(memory, cost.get("peak_memory_mb") or 0.0)
    return (median(seconds), device, memory) if seconds else None


def _of_earlier_measurement(run: Run, results: Path) -> Known | None:
    path = _file(run, results)
    if not path.exists():
        return None
    found = read_json(path).get(run.name)
    if found is None or found["settings"] != _settings(_as_trained(run)):
        return None
    return found["seconds_per_iteration"], found["device"], found.get("peak_memory_mb") or 0.0


def _of_the_benchmarks(run: Run) -> Known | None:
    """The step of this method at this size on the GPU whose rows were published."""
    if not (ON_A_GPU / "step.json").exists() or run.choice.settings:
        return None
    training = _as_trained(run).training
    wanted = {
        "method": run.choice.method,
        "patch": "x".join(map(str, training.patch_size)),
        "width": run.network.width,
        "precision": training.precision,
        "compile": training.compile,
    }
    for row in read_json(ON_A_GPU / "step.json"):
        if wanted.items() <= row.items():
            device = read_json(ON_A_GPU / "step.machine.json")["gpu"]
            return row["harness, s"], f"benchmark on {device}", 1024 * (row["memory, GB"] or 0.0)
    return None


def _measured_now(run: Run, results: Path, iterations: int) -> Known:
    """Train a few iterations in a folder that is thrown away."""
    from ssl_methods.training.train import train

    training = run.training.model_copy(
        update={"iterations": iterations, "log_every": iterations, "validate_every": 0}
    )
    with tempfile.TemporaryDirectory() as folder:
        train(run.model_copy(update={"training": training}), results, Path(folder, "run"))
        cost = read_json(Path(folder, "run", "cost.json"))
    path = _file(run, results)
    measured = read_json(path) if path.exists() else {}
    measured[run.name] = {
        "settings": _settings(_as_trained(run)),
        "iterations": iterations,
        "seconds_per_iteration": cost["seconds_per_iteration"],
        "device": cost["device"],
        "peak_memory_mb": cost["peak_memory_mb"],
    }
    write_json(path, measured)
    return cost["seconds_per_iteration"], cost["device"], cost["peak_memory_mb"]


def _file(run: Run, results: Path) -> Path:
    return results / run.experiment / "measured.json"


def _as_trained(run: Run) -> Run:
    """The run with the batch of its recipe, as ``run.yaml`` records it."""
    if run.choice.recipe == "unified":
        return run
    config = methods.resolve(run.choice)
    return run.model_copy(update={"training": config.released_training(run.training)})


def _settings(run: Run) -> str:
    """Equal for runs whose iterations cost the same."""
    training = run.training.model_dump(
        mode="json",
        include={"patch_size", "labeled_batch", "unlabeled_batch", "precision", "cpu_threads"},
    )
    choice = run.choice.model_dump(mode="json")
    return digest([run.dataset.name, choice, run.network.model_dump(mode="json"), training])
