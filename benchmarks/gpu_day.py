"""Everything that only a GPU can tell, within a given number of minutes.

    python -m benchmarks.gpu_day --minutes 25 --out DIR [--tiny]
    python -m benchmarks.gpu_day --publish --out DIR

A queue, the most telling items per minute first. Each is a process of its own with a time limit;
its rows are written whole to ``DIR/<item>.json`` as soon as it ends. What takes the time of steps
has the machine to itself; what does not runs side by side. An item whose rows are there is passed
over, a sweep goes on from its checkpoints, and what the time does not allow is named: the same
command goes on another day. ``DIR/day.json`` says what became of each item, and where.

``--tiny`` rehearses the whole day on generated scans, on the CPU where there is no GPU.
``--publish`` copies the answers to ``benchmarks/measured/gpu/``, from where the performance page
takes them beside those of the CPU.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.all import machine
from benchmarks.children import PROJECT, environment
from benchmarks.page import MEASURED
from ssl_methods import methods
from ssl_methods.errors import UserError
from ssl_methods.files import read_json, write_json

PRECISIONS = ("float32", "tf32", "bfloat16")
FOURTHS = 4  # processes that share the methods of the precision benchmark
LENIENT = 10.0  # minutes: a rehearsal asks whether all of it works, however slow the machine
GRACE = 20.0  # seconds that a process has to end after its time


@dataclass(frozen=True)
class Item:
    """One question to the machine: ``module`` with its arguments writes the rows."""

    name: str
    minutes: float  # at most
    module: str
    arguments: tuple[str, ...] = ()
    goes_on: bool = False  # a sweep: asked again until its rows say that it is complete
    beside: bool = False  # its answer is no time: it runs beside its neighbours of that kind

    def command(self, file: Path, minutes: float) -> list[str]:
        limit = ["--minutes", f"{minutes:.2f}"] if self.goes_on else []
        return [
            sys.executable, "-m", self.module, *self.arguments, *limit, "--json", str(file)
        ]  # fmt: skip


def queue(tiny: bool) -> list[Item]:
    """All items in order of value per minute."""
    if tiny:
        step = ("--scales", "tiny", "--rounds", "1")
        sweep = ("configs/experiments/quickstart.yaml", "--tiny")
        few = ("--methods", "supervised", "dtc")
        return [
            Item("tests", LENIENT, "benchmarks.gpu.tests", ("--tiny",)),
            Item("step-dtc-float32-none", LENIENT, "benchmarks.step", (*step, *few[:1], "dtc")),
            Item("kernels", LENIENT, "benchmarks.gpu.kernels", ("--tiny",)),
            Item("precision", LENIENT, "benchmarks.precision", ("--tiny", *few)),
            Item("step-all", LENIENT, "benchmarks.step", (*step, *few)),
            Item("sweep", LENIENT, "benchmarks.gpu.sweep", sweep, goes_on=True),
        ]
    paper = ("--scales", "paper", "--rounds", "2")
    dtc = (*paper, "--methods", "dtc", "--precision", *PRECISIONS, "--compile")
    trained = [name for name in methods.names() if methods.method_class(name).role == "method"]
    small = ("configs/experiments/left_atrium_small.yaml", "--runs-per-gpu", "14")
    four = ("--target", "results/left_atrium_small/looks/labeled-4.json")
    full = ("configs/experiments/left_atrium.yaml", "--budget", "8", "--subset")
    return [
        Item("step-dtc", 2, "benchmarks.step", (*dtc, "none")),
        Item("tests", 3, "benchmarks.gpu.tests", beside=True),
        Item(
            "left_atrium_small-4",
            8,
            "benchmarks.gpu.sweep",
            (*small, *four),
            goes_on=True,
            beside=True,
        ),
        Item("evaluation", 3, "benchmarks.full_size"),
        Item("kernels", 1, "benchmarks.gpu.kernels"),
        Item("step-all", 3, "benchmarks.step", ("--scales", "paper", "--rounds", "1")),
        *(
            Item(
                f"precision-{i}",
                3,
                "benchmarks.precision",
                ("--methods", *trained[i::FOURTHS]),
                beside=True,
            )
            for i in range(FOURTHS)
        ),
        Item("step-dtc-graphs", 3, "benchmarks.step", (*dtc, "graphs")),
        Item("step-dtc-compile", 3, "benchmarks.step", (*dtc, "compile")),
        Item("left_atrium_small", 15, "benchmarks.gpu.sweep", small, goes_on=True),
        *(
            Item(
                f"left_atrium-subset-{subset}",
                30,
                "benchmarks.gpu.sweep",
                (*full, str(subset)),
                goes_on=True,
            )
            for subset in range(3)
        ),
    ]


def run(item: Item, folder: Path, minutes: float) -> dict[str, Any]:
    """Ask one question; what became of it. Its rows are in ``folder`` if it was answered."""
    file, log = folder / f"{item.name}.json", folder / f"{item.name}.log"
    start = time.monotonic()
    with log.open("ab") as printed:
        process = subprocess.Popen(
            item.command(file, minutes),
            cwd=PROJECT,
            env=environment(),
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )
        try:
            status = process.wait(60 * minutes + (GRACE if item.goes_on else 0))
            state = "done" if status == 0 and file.exists() else f"failed (exit status {status})"
        except subprocess.TimeoutExpired:
            state = "out of time"
        finally:
            end(process)
    return {"item": item.name, "state": state, "seconds": round(time.monotonic() - start, 1)}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started; a sweep's jobs write their checkpoints first."""
    for number, wait in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(wait)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def is_answered(item: Item, folder: Path) -> bool:
    file = folder / f"{item.name}.json"
    if not file.exists():
        return False
    rows = read_json(file)
    return not item.goes_on or all(row["complete"] for row in rows)


def day(items: list[Item], folder: Path, minutes: float) -> Iterator[dict[str, Any]]:
    """What becomes of each item, in order, until the time is over."""
    over = time.monotonic() + 60 * minutes

    def ask(item: Item) -> dict[str, Any]:
        left = (over - time.monotonic()) / 60
        if is_answered(item, folder):
            return {"item": item.name, "state": "done before", "seconds": 0.0}
        if left < 0.25 or (not item.goes_on and left < item.minutes / 2):
            return {"item": item.name, "state": "no time left", "seconds": 0.0}
        return run(item, folder, min(left, item.minutes))

    for beside, group in groupby(items, key=lambda item: item.beside):
        if beside:
            together = list(group)
            with ThreadPoolExecutor(len(together)) as pool:
                yield from pool.map(ask, together)
        else:
            yield from map(ask, group)


def publish(folder: Path, measured: Path) -> list[Path]:
    """Write the rows to where the performance page looks for them; returns the files.

    All steps become one table. A day's tiny rehearsal is not published.
    """
    written: list[Path] = []

    def write(name: str, rows: list[Any]) -> None:
        if rows:
            write_json(measured / f"{name}.json", rows)
            written.append(measured / f"{name}.json")

    def read(pattern: str) -> list[Any]:
        return [row for file in sorted(folder.glob(pattern)) for row in read_json(file)]

    seen = read_json(folder / "day.json")
    if seen["machine"]["gpu"] is None:
        raise UserError(f"{folder}: was measured without a GPU; there is nothing to publish")
    write("step", read("step-*.json"))
    write("kernels", read("kernels.json"))
    write("precision", [row for row in read("precision*.json") if row["term"]])
    write("full_size", read("evaluation.json"))
    for name in [file.stem for file in written]:
        write_json(measured / f"{name}.machine.json", seen["machine"])
    return written


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=25, help="in all (default: 25)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the answers")
    parser.add_argument("--tiny", action="store_true", help="rehearse on generated scans")
    parser.add_argument("--publish", action="store_true", help="show what DIR holds on the page")
    parser.add_argument("--only", nargs="+", metavar="ITEM", help="no other items")
    options = parser.parse_args()
    if options.publish:
        print(*publish(options.out, MEASURED / "gpu"), sep="\n")
        return
    items = [item for item in queue(options.tiny) if not options.only or item.name in options.only]
    options.out.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for row in day(items, options.out.resolve(), options.minutes):
        found.append(row)
        print(f"{row['item']:28} {row['state']:24} {row['seconds']:7.1f} s", flush=True)
        write_json(options.out / "day.json", {"machine": machine(), "items": found})
    sys.exit(any(row["state"].startswith("failed") for row in found))


if __name__ == "__main__":
    main()
