"""Alternatives take turns, so that a noisy machine slows all of them alike.

What is compared are ratios within a round; their median has an interval.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import quantile_test

Clock = Callable[[], float]
ENOUGH = 6  # rounds: of fewer, no two order statistics enclose the median in 95 of 100 cases


class Ratio(NamedTuple):
    """A median over rounds and its 95 % interval from order statistics; none of few rounds."""

    median: float
    low: float | None
    high: float | None

    def percent_above_one(self) -> Ratio:
        """As an overhead: 1.05 is 5."""
        return Ratio(*(None if it is None else 100 * (it - 1) for it in self))


def alternate(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; each is called once in every round, in turn.

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
    return seconds


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Of two candidates' seconds of the same rounds."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    low = high = None
    if len(ratios) >= ENOUGH:
        low, high = map(float, quantile_test(ratios, p=0.5).confidence_interval(0.95))
    return Ratio(statistics.median(ratios), low, high)


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """``--rounds`` and ``--json`` of a benchmark's command line."""
    return options_of(description, rounds).parse_args()


def options_of(description: str, rounds: int) -> argparse.ArgumentParser:
    """A parser of these two, for a benchmark that has more."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed calls of each")
    return parser


def show(rows: list[dict[str, Any]], json_path: Path | None) -> None:
    """Print rows of equal keys as a table; numbers have three digits."""
    cells = [list(rows[0]), *([text(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def text(value: object) -> str:
    """A cell; a ratio with its interval."""
    if value is None:
        return "not measured"
    if isinstance(value, list | tuple):
        median, low, high = value
        between = "" if low is None else f" ({low:.3g} to {high:.3g})"
        return f"{median:.3g}{between}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
