"""An experiment through Snakemake within a time limit: one row per run, finished or not.

What is not finished in time writes its checkpoint and goes on when the same command comes again.
Runs share the GPU (`--runs-per-gpu`); their seconds are those of runs side by side.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.children import PROJECT
from benchmarks.timing import show
from ssl_methods.config import load_experiment
from ssl_methods.config.experiment import Experiment
from ssl_methods.files import read_json, write_yaml

TINY = {
    "dataset": {"name": "tiny", "importer": "phantom", "shape": [18, 20, 16], "train_cases": 6,
                "test_cases": 2},
    "methods": ["supervised", "dtc"],
    "budgets": [2],
    "subsets": 1,
    "network": {"width": 2, "levels": 2},
    "training": {"iterations": 4, "patch_size": [16, 16, 16]},
}  # fmt: skip


def declared(options: argparse.Namespace) -> Experiment:
    """The experiment as this sweep runs it."""
    tiny = {"name": "gpu_day_tiny"} | TINY
    experiment = load_experiment(tiny if options.tiny else PROJECT / options.experiment)
    training = experiment.training.model_copy(update={"runs_per_gpu": options.runs_per_gpu})
    changes: dict[str, Any] = {"training": training}
    if options.budget is not None:
        changes["budgets"] = (options.budget,)
    if options.subset is not None:
        changes["subsets"] = (options.subset,)
    return experiment.model_copy(update=changes)


@contextmanager
def kernels_side_by_side() -> Iterator[dict[str, str]]:
    """Variables with which kernels of several processes run at once: NVIDIA's MPS, if it is there.

    Without it the processes take turns at the GPU, which small networks leave mostly idle. It
    changes no setting of the device and ends with the sweep.
    """
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        print("no MPS: the processes take turns at the GPU")
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
        own = dict.fromkeys(names, folder)
        started = subprocess.run([control, "-d"], env=os.environ | own).returncode == 0
        print("MPS is started" if started else "MPS does not start: the processes take turns")
        try:
            yield own if started else {}
        finally:
            if started:
                subprocess.run([control], input="quit\n", text=True, env=os.environ | own)


def sweep(experiment: Experiment, target: str, minutes: float, cores: int) -> None:
    """Run what is left of it, for so long at most."""
    file = PROJECT / "results" / experiment.name / "gpu_day.yaml"
    write_yaml(file, experiment.model_dump(mode="json"))
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--keep-going"]
    command += [target, "--configfile", str(file)]
    with kernels_side_by_side() as variables:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | variables, start_new_session=True
        )
        try:
            process.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def rows(experiment: Experiment) -> list[dict[str, Any]]:
    found = []
    for run in experiment.runs():
        folder = PROJECT / "results" / run.folder
        complete = (folder / "cases.csv").exists() and (folder / "cost.json").exists()
        cost = read_json(folder / "cost.json") if complete else {}
        dice = pd.read_csv(folder / "cases.csv")["dice"].mean() if complete else None
        found.append(
            {
                "method": run.name,
                "budget": run.budget,
                "subset": run.subset,
                "seed": run.seed,
                "complete": complete,
                "seconds per iteration": cost.get("seconds_per_iteration"),
                "seconds": cost.get("wall_seconds"),
                "memory, MB": cost.get("peak_memory_mb"),
                "device": cost.get("device"),
                "dice": None if dice is None else float(dice),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--target", default="measurements", help="of Snakemake")
    parser.add_argument("--budget", type=int)
    parser.add_argument("--subset", type=int)
    parser.add_argument("--runs-per-gpu", type=int, default=1)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    experiment = declared(options)
    sweep(experiment, options.target, options.minutes, os.cpu_count() or 1)
    show(rows(experiment), options.json)


if __name__ == "__main__":
    main()
