"""The verbs on the left-atrium set at full size: seconds, and host memory apart from mapped files.

`train` on the CPU is three iterations of DTC with patches as large as the paper's and a network of
one filter: on a GPU the activations lie there, so that the job's memory is that of the data path
and of PyTorch. `train` and `evaluate` on a GPU are with the paper's network and strides, all test
cases and metrics included, after three iterations only. Memory is read from /proc twenty times a
second. Without the data nothing is measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.children import PROJECT, environment
from benchmarks.timing import arguments, show
from ssl_methods.config import load_experiment

PAPER = "configs/experiments/left_atrium.yaml"
CELL = ["--budget", "16", "--subset", "0"]
RUN = [*CELL, "--method", "dtc", "--seed", "0"]
WATCHED = {"RssAnon": "memory without mapped files, GB", "VmRSS": "memory in all, GB"}


def watched(verb: str, *rest: str, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of a verb: without mapped files, and all that it holds."""
    command = [sys.executable, "-m", "ssl_methods", verb, *rest]
    peak = dict.fromkeys(WATCHED, 0.0)
    start = time.perf_counter()
    with (
        (folder / "printed").open("w", encoding="utf-8") as printed,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment(),
            stdout=printed,
            stderr=printed,
        ) as process,
    ):
        while process.poll() is None:
            for line in (
                Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
            ):
                name, _, value = line.partition(":")
                if name in peak:
                    peak[name] = max(peak[name], int(value.split()[0]) / 1024**2)
            time.sleep(0.05)
    if process.returncode:
        sys.exit((folder / "printed").read_text(encoding="utf-8"))
    seconds = {"seconds": time.perf_counter() - start}
    return seconds | {title: peak[name] for name, title in WATCHED.items()}


def declare(folder: Path, device: str, network: dict[str, int]) -> str:
    """The paper's experiment with this network, for three iterations; the path of its file."""
    declared = load_experiment(PROJECT / PAPER).model_dump(mode="json")
    if not (data := PROJECT / declared["dataset"]["path"]).is_dir():
        sys.exit(f"{data}: is not there; say where the left atrium set is in configs/datasets/")
    declared |= {"name": device, "budgets": [16], "subsets": 1}
    declared["network"] |= network
    declared["training"] |= {"iterations": 3, "device": device}
    path = folder / f"{device}.yaml"
    path.write_text(yaml.safe_dump(declared), encoding="utf-8")
    return str(path)


def main() -> None:
    options = arguments(__doc__, rounds=1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def measure(verb: str, device: str, network: str, *rest: str) -> None:
            row = {"verb": verb, "device": device, "network": network}
            rows.append(row | watched(verb, *rest, folder=folder))

        small = declare(folder, "cpu", {"width": 1, "levels": 2})
        measure("prepare", "cpu", "none", small, "--out", name)
        watched("split", small, "--out", name, *CELL, folder=folder)
        measure("train", "cpu", "one filter", small, "--results", name, *RUN)
        if torch.cuda.is_available():
            paper = declare(folder, "cuda", {})
            watched("split", paper, "--out", name, *CELL, folder=folder)
            measure("train", "cuda", "the paper's", paper, "--results", name, *RUN)
            measure("evaluate", "cuda", "the paper's", paper, "--results", name, *RUN)
        else:
            for verb in ("train", "evaluate"):
                not_measured = dict.fromkeys(("seconds", *WATCHED.values()))
                row = {"verb": verb, "device": "cuda", "network": "the paper's"}
                rows.append(row | not_measured)
    show(rows, options.json)


if __name__ == "__main__":
    main()
