"""Host memory of a training job on the left-atrium set at full size, apart from mapped files.

Three iterations of DTC in a process of its own, with patches as large as the paper's and a network
of one filter: on a GPU the activations lie there, so that the job's memory is that of the data path
and of PyTorch. Read from /proc twenty times a second. Without the data it is not measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.timing import arguments, show
from ssl_methods.config import load_experiment

PROJECT = Path(__file__).resolve().parents[1]
PAPER = "configs/experiments/left_atrium.yaml"


def watched(*arguments: str, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of a verb: all that it holds, and without mapped files."""
    command = [sys.executable, "-m", "ssl_methods", *arguments]
    peak = {"RssAnon": 0.0, "VmRSS": 0.0}
    start = time.perf_counter()
    with (
        (folder / "printed").open("w") as printed,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdout=printed,
            stderr=printed,
        ) as process,
    ):
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peak:
                    peak[name] = max(peak[name], int(value.split()[0]) / 1024**2)
            time.sleep(0.05)
    if process.returncode:
        sys.exit((folder / "printed").read_text())
    return {
        "seconds": time.perf_counter() - start,
        "memory without mapped files, GB": peak["RssAnon"],
        "memory in all, GB": peak["VmRSS"],
    }


def main() -> None:
    options = arguments(__doc__, rounds=1)
    paper = load_experiment(PROJECT / PAPER).model_dump(mode="json")
    data = PROJECT / paper["dataset"]["path"]
    if not data.is_dir():
        sys.exit(f"{data}: is not there; say where the left atrium set is in configs/datasets/")
    paper |= {"network": {"width": 1, "levels": 2}, "budgets": [16], "subsets": 1}
    paper["training"] |= {"iterations": 3, "device": "cpu"}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        declared = folder / "declared.yaml"
        declared.write_text(yaml.safe_dump(paper))
        cell = ["--budget", "16", "--subset", "0"]
        for verb, rest in {
            "prepare": ["--out", name],
            "split": ["--out", name, *cell],
            "train": ["--results", name, *cell, "--method", "dtc", "--seed", "0"],
        }.items():
            rows.append({"verb": verb} | watched(verb, str(declared), *rest, folder=folder))
    show([row for row in rows if row["verb"] != "split"], options.json)


if __name__ == "__main__":
    main()
