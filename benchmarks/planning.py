"""How long Snakemake plans a grid, and in how much memory: a dry run of 100, 1,000 and 10,000 runs.

python -m benchmarks.planning --json planning.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

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


def plan(runs: int) -> dict[str, float]:
    """A dry run with nothing done yet, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder, "declared.yaml")
        declared.write_text(yaml.safe_dump(experiment(runs)))
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "2"]
        command += ["--directory", folder, "--configfile", str(declared)]
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
    rows = []
    for runs in arguments.runs:
        rows.append(plan(runs))
        if len(rows) == 1:
            print("  ".join(f"{name:>14}" for name in rows[0]))
        print("  ".join(f"{value:14,.1f}" for value in rows[-1].values()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
