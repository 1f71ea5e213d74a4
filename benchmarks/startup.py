"""How long until a training job has made its first step, and what each verb's imports cost.

    python -m benchmarks.startup --json startup.json

A job of one step is timed from its start to its end, which is more than the time to the step: it
also writes the model and the records. Network and patch are so small that the step is nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]
IMPORTS = {
    "no verb (--help)": "ssl_methods.cli",
    "prepare": "ssl_methods.data.prepare",
    "collect": "ssl_methods.analysis.collect",
    "report": "ssl_methods.reporting.report",
    "evaluate": "ssl_methods.evaluation.evaluate",
    "train": "ssl_methods.training.train",
}
EXPERIMENT = {
    "name": "startup",
    "dataset": {"name": "blobs", "importer": "phantom", "train_cases": 4, "test_cases": 2},
    "methods": ["supervised", "dtc"],
    "budgets": [2],
    "subsets": 1,
    "network": {"width": 2, "levels": 2},
    "training": {"patch_size": [16, 16, 16], "iterations": 1, "device": "cpu"},
}


def timed(*arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds of a Python process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(arguments)}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def medians(name: str, rounds: int, *arguments: str) -> dict[str, str | float]:
    timed(*arguments)  # the files into memory
    wall, cpu = zip(*(timed(*arguments) for _ in range(rounds)), strict=True)
    seconds = {"seconds": statistics.median(wall), "cpu_seconds": statistics.median(cpu)}
    return {"what": name} | seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    rows = [
        medians(f"import: {verb}", rounds, "-c", f"import {module}")
        for verb, module in IMPORTS.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder, "declared.yaml")
        declared.write_text(yaml.safe_dump(EXPERIMENT))
        for verb in ("prepare", "split"):
            timed("-m", "ssl_methods", verb, str(declared), "--out", folder)
        for method in ("supervised", "dtc"):
            cell = ["--method", method, "--budget", "2", "--results", folder]
            training = ["-m", "ssl_methods", "train", str(declared), *cell]
            rows.append(medians(f"train, one step: {method}", rounds, *training))
    for row in rows:
        print(f"{row['what']:28}{row['seconds']:8.2f} s{row['cpu_seconds']:8.2f} s of CPU")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
