"""How long Snakemake plans a grid, and in how much memory: dry runs of 100, 1,000 and 10,000 runs.

Printed as it comes (lines for each job), and with ``--quiet``, for grids that nobody reads job by
job.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.timing import show

PROJECT = Path(__file__).resolve().parents[1]
SEEDS = {100: 5, 1_000: 50, 10_000: 500}  # of 5 methods, 2 budgets and 2 subsets


def experiment(runs: int) -> dict[str, object]:
    """A grid of so many runs on generated cases."""
    dataset = {"name": "blobs", "importer": "phantom", "train_cases": 4, "test_cases": 2}
    methods = ["supervised", "mean_teacher", "sdf_multitask", "ua_mt", "dtc"]
    grid = {"methods": methods, "budgets": [1, 2], "subsets": 2, "seeds": SEEDS[runs]}
    training = {"patch_size": [16, 16, 16], "iterations": 60}
    network = {"width": 2, "levels": 2}
    return {"name": "grid", "dataset": dataset, "network": network, "training": training} | grid


def plan(runs: int, *options: str) -> dict[str, Any]:
    """A dry run with nothing done yet, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder, "declared.yaml")
        declared.write_text(yaml.safe_dump(experiment(runs)))
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "2"]
        command += ["--directory", folder, "--configfile", str(declared), *options]
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        start = time.perf_counter()
        with (
            Path(folder, "printed").open("w") as printed,
            subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=printed, stderr=printed
            ) as process,
        ):
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode:
            sys.exit(Path(folder, "printed").read_text())
    return {
        "runs": runs,
        "options": " ".join(options) or "none",
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "cpu_ms_per_run": 1000 * (used.ru_utime + used.ru_stime) / runs,
        "peak_memory_mb": used.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--runs", type=int, nargs="+", choices=SEEDS, default=list(SEEDS))
    arguments = parser.parse_args()
    verbosities = ((), ("--quiet", "rules"))
    rows = [plan(runs, *options) for runs in arguments.runs for options in verbosities]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
