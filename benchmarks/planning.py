"""How long Snakemake plans a grid, and in how much memory: dry runs of 100, 1,000 and 10,000 runs.

Printed as it comes (lines for each job), and with ``--quiet``, for grids that nobody reads job by
job. Beside it a plain workflow of as many runs, three rules each, which says how fast the machine
was.
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

from benchmarks.children import PROJECT, environment
from benchmarks.timing import show

PLAIN = """
RUN = "r/{method}/{budget}/{subset}/{seed}"
TWO, SEEDS = range(2), range(config["seeds"])
rule all:
    input: expand(f"{RUN}/table", method=range(5), budget=TWO, subset=TWO, seed=SEEDS)
rule train:
    output: f"{RUN}/model"
    shell: "train {wildcards.method} {wildcards.budget} {wildcards.subset} {wildcards.seed}"
rule evaluate:
    input: f"{RUN}/model"
    output: f"{RUN}/cases"
    shell: "evaluate {input} {output}"
rule tabulate:
    input: f"{RUN}/cases"
    output: f"{RUN}/table"
    shell: "tabulate {input} {output}"
"""
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
    """A dry run of our workflow with nothing done yet."""
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder, "declared.yaml")
        declared.write_text(yaml.safe_dump(experiment(runs)), encoding="utf-8")
        found = dry_run(folder, "--configfile", str(declared), *options)
    return row(runs, "ours", " ".join(options) or "none", *found)


def plain(runs: int) -> dict[str, Any]:
    """The same of a workflow without anything of ours."""
    with tempfile.TemporaryDirectory() as folder:
        snakefile = Path(folder, "Snakefile")
        snakefile.write_text(PLAIN, encoding="utf-8")
        found = dry_run(folder, "--snakefile", str(snakefile), "--config", f"seeds={SEEDS[runs]}")
    return row(runs, "plain, three rules a run", "none", *found)


def dry_run(folder: str, *options: str) -> tuple[float, float, float]:
    """Wall and CPU seconds and peak MB of Snakemake in a process of its own."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "2"]
    command += ["--directory", folder, *options]
    start = time.perf_counter()
    with (
        Path(folder, "printed").open("w", encoding="utf-8") as printed,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment(), stdout=printed, stderr=printed
        ) as process,
    ):
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(Path(folder, "printed").read_text(encoding="utf-8"))
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def row(
    runs: int, workflow: str, options: str, seconds: float, cpu: float, memory: float
) -> dict[str, Any]:
    return {
        "runs": runs,
        "workflow": workflow,
        "options": options,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "cpu_ms_per_run": 1000 * cpu / runs,
        "peak_memory_mb": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--runs", type=int, nargs="+", choices=SEEDS, default=list(SEEDS))
    arguments = parser.parse_args()
    verbosities = ((), ("--quiet", "rules"))
    rows = []
    for runs in arguments.runs:
        rows += [plan(runs, *options) for options in verbosities]
        rows.append(plain(runs))
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
