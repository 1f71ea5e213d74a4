"""A step of DTC on the CPU where freed memory is kept, as by the harness's jobs, or given back.

The paper's settings, two threads, generated scans. Each turn is a process that makes a step and
then one that counts, with its page faults and the process's largest memory. The released step gives
memory back: it leaves that to the C library.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.released_step import ReleasedStep, write_hdf5
from benchmarks.step import LABELED, Scale, harness_step, prepared, scales
from benchmarks.timing import arguments, ratio, show
from ssl_methods.config import TrainingConfig
from ssl_methods.devices.host_memory import keep_freed_memory

CPU = torch.device("cpu")
TURNS = ("harness, kept", "harness, given back", "released, given back")


def paper() -> Scale:
    return next(scale for scale in scales(CPU, rounds=1) if scale.name == "paper")


def turn(title: str, folder: Path) -> dict[str, float]:
    """What a step took in this process."""
    torch.set_num_threads(2)
    scale, store = paper(), prepared(paper(), folder)
    if title == "harness, kept":
        keep_freed_memory()
    call: Callable[[], None]
    if title.startswith("harness"):
        training = TrainingConfig(patch_size=scale.patch)
        call = harness_step("dtc", scale, store, CPU, training)
    else:
        files = sorted(store.folder.glob("*.h5"))
        call = ReleasedStep(files, LABELED, scale.patch, scale.width, 0, CPU)
    call()
    faults, start = used().ru_minflt, time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    return {
        "s": seconds,
        "page faults": used().ru_minflt - faults,
        "memory, GB": used().ru_maxrss / 1024**2,
    }


def used() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)


def main() -> None:
    options = arguments(__doc__, rounds=6)
    seen: dict[str, list[dict[str, float]]] = {title: [] for title in TURNS}
    with tempfile.TemporaryDirectory() as name:
        store = prepared(paper(), Path(name))
        write_hdf5(store, store.folder)
        for _ in range(options.rounds):
            for title in TURNS:
                with ProcessPoolExecutor(1, get_context("spawn")) as process:
                    seen[title].append(process.submit(turn, title, Path(name)).result())
                print(title, seen[title][-1], flush=True)
    seconds = {title: [it["s"] for it in found] for title, found in seen.items()}
    rows: list[dict[str, Any]] = [
        {
            "step": title,
            **{key: median(it[key] for it in found) for key in found[0]},
            "this / harness, kept": ratio(seconds[title], seconds[TURNS[0]]),
        }
        for title, found in seen.items()
    ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
