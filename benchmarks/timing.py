"""Medians of alternatives that take turns, so that a noisy machine slows all of them alike."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Clock = Callable[[], float]


def alternate(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each candidate; each is called once in every round, in turn.

    A first call of each is not counted. ``clock`` may be ``time.process_time`` for work on one
    core, which leaves out what other processes take.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(rounds + 1):
        for name, call in candidates.items():
            start = clock()
            call()
            if round_ > 0:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """``--rounds`` and ``--json`` of a benchmark's command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed calls of each")
    return parser.parse_args()


def show(rows: list[dict[str, Any]], json_path: Path | None) -> None:
    """Print rows of equal keys as a table; numbers have three digits."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n")


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
