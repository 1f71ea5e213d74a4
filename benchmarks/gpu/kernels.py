"""What DTC's step at the paper's settings is made of: the longest kernels, and the time between.

Twenty steps under PyTorch's profiler. `share, %` is of the span from the first kernel to the last;
the row `no kernel` is what is left of it: the GPU waits.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.step import PAPER, TINY, harness_step, prepared
from benchmarks.timing import show
from ssl_methods.config import TrainingConfig

STEPS, LONGEST = 20, 15


def kernels(step: Any, steps: int) -> list[dict[str, Any]]:
    """One row per kernel (on a CPU: per operation), the longest first."""
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    for _ in range(3):
        step()
    with profile(activities=activities) as seen:
        for _ in range(steps):
            step()
        if on_gpu:
            torch.cuda.synchronize()
    wanted = "cuda" if on_gpu else "cpu"
    events = [
        event for event in seen.events() or [] if str(event.device_type).lower().endswith(wanted)
    ]
    spans = sorted((event.time_range.start, event.time_range.end) for event in events)
    whole = max(end for _, end in spans) - spans[0][0]
    busy, until = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    total: dict[str, list[float]] = {}
    for event in events:
        total.setdefault(event.name, []).append(event.time_range.elapsed_us())
    longest = sorted(total.items(), key=lambda item: -sum(item[1]))[:LONGEST]
    found = [
        {
            "kernel": name[:100],
            "calls per step": len(times) / steps,
            "ms per step": sum(times) / steps / 1000,
            "share, %": 100 * sum(times) / whole,
        }
        for name, times in longest
    ]
    waiting = whole - busy
    return [
        *found,
        {
            "kernel": "no kernel",
            "calls per step": None,
            "ms per step": waiting / steps / 1000,
            "share, %": 100 * waiting / whole,
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a few steps of a small network")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scale = TINY if options.tiny else PAPER
    with tempfile.TemporaryDirectory() as folder:
        store = prepared(scale, Path(folder))
        training = TrainingConfig(patch_size=scale.patch)
        step = harness_step("dtc", replace(scale, methods=["dtc"]), store, device, training)
        show(kernels(step, 2 if options.tiny else STEPS), options.json)


if __name__ == "__main__":
    main()
