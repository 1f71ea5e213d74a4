"""How long until a training job has made its first step, and what each verb's imports cost.

    python -m benchmarks.startup --json startup.json

A job of one step is timed to that step and to its end, with the model and the records written.
Network and patch are so small that the step itself is nothing.
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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.children import environment

IMPORTS = {
    "no verb (--help)": "ssl_methods.cli",
    "prepare": "ssl_methods.data.prepare",
    "collect": "ssl_methods.analysis.collect",
    "report": "ssl_methods.reporting.report",
    "evaluate": "ssl_methods.evaluation.evaluate",
    "train": "ssl_methods.training.train",
}
FIRST_STEP = '''"""DTC that says when it has made a step."""
import time
from benchmarks.children import environment
from ssl_methods.methods.dtc import DTC

class FirstStep(DTC):
    def after_step(self, progress):
        super().after_step(progress)
        print(time.time(), time.process_time())
'''
EXPERIMENT = {
    "name": "startup",
    "dataset": {"name": "blobs", "importer": "phantom", "train_cases": 4, "test_cases": 2},
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
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(arguments)}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def medians(name: str, rounds: int, measure: Callable[[], tuple[float, float]]) -> dict[str, Any]:
    measure()  # the files into memory
    wall, cpu = zip(*(measure() for _ in range(rounds)), strict=True)
    return {
        "what": name,
        "seconds": statistics.median(wall),
        "cpu_seconds": statistics.median(cpu),
    }


def to_the_first_step(*arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds until a job of the method above has made its step."""
    start = time.time()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    there, used = map(float, done.stdout.split()[:2])
    return there - start, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    rows = [
        medians(f"import: {verb}", rounds, partial(timed, "-c", f"import {module}"))
        for verb, module in IMPORTS.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder, "declared.yaml")
        own = Path(folder, "first_step.py")
        own.write_text(FIRST_STEP, encoding="utf-8")
        methods: dict[str, dict[str, str]] = {name: {} for name in ("supervised", "dtc")}
        methods["first_step"] = {"module": str(own)}
        declared.write_text(yaml.safe_dump(EXPERIMENT | {"methods": methods}), encoding="utf-8")
        for verb in ("prepare", "split"):
            timed("-m", "ssl_methods", verb, str(declared), "--out", folder)

        def job(method: str, measure: Callable[..., tuple[float, float]]) -> tuple[float, float]:
            out = tempfile.mkdtemp(dir=folder)  # a run that is there would not be trained again
            cell = ["--method", method, "--budget", "2", "--results", folder, "--out", out]
            return measure("-m", "ssl_methods", "train", str(declared), *cell)

        for what, method, measure in (
            ("train, one step: supervised", "supervised", timed),
            ("train, one step: dtc", "dtc", timed),
            ("train, to the first step: dtc", "first_step", to_the_first_step),
        ):
            rows.append(medians(what, rounds, partial(job, method, measure)))
    for row in rows:
        print(f"{row['what']:30}{row['seconds']:8.2f} s{row['cpu_seconds']:8.2f} s of CPU")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
