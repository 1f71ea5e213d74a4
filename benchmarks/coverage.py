"""What 95 % intervals hold and how wide they are, by number of subsets and world: simulated.

Differences, in Dice points, on 20 cases with one seed (`analysis/components.py`), the SDs those of
subsets, cases and the rest; and means of Dice on the logit scale. With fewer than five subsets the
interval rests on a prior of the SD over subsets too: half-t with three degrees of freedom, scale 5
for differences and 15 for means.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.timing import show
from ssl_methods.analysis.components import Interval, interval, mean_interval, table

CASES = 20
SUBSETS = (3, 5, 8, 12, 24)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def normal(sd_subset: float, sd_case: float, sd_rest: float) -> Draw:
    """Worlds of a difference whose truth is 0."""

    def draw(random: np.random.Generator, subsets: int) -> NDArray[np.float64]:
        return (
            random.normal(0, sd_subset, (subsets, 1))
            + random.normal(0, sd_case, CASES)
            + random.normal(0, sd_rest, (subsets, CASES))
        )

    return draw


def heavy(random: np.random.Generator, subsets: int) -> NDArray[np.float64]:
    """Student's t with three degrees of freedom in place of the normal 5/5/10."""
    scale = 1 / np.sqrt(3)
    return scale * (
        5 * random.standard_t(3, (subsets, 1))
        + 5 * random.standard_t(3, CASES)
        + 10 * random.standard_t(3, (subsets, CASES))
    )


def bad(random: np.random.Generator, subsets: int) -> NDArray[np.float64]:
    """One subset in five moves the difference by 20, around a mean of 0."""
    moved = 20.0 * (random.random((subsets, 1)) < 0.2) - 4.0
    return normal(3, 5, 10)(random, subsets) + moved


def failing(random: np.random.Generator, subsets: int) -> NDArray[np.float64]:
    """3 % of the cells of one method and of the other lose 80."""
    lost = (random.random((2, subsets, CASES)) < 0.03) * 80.0
    return normal(2, 3, 5)(random, subsets) + lost[0] - lost[1]


def levels(centre: float, sd: float) -> Draw:
    """Means of Dice, 0..1: subsets, cases and the rest vary on the logit scale."""

    def draw(random: np.random.Generator, subsets: int) -> NDArray[np.float64]:
        logits = (
            centre
            + random.normal(0, sd, (subsets, 1))
            + random.normal(0, 0.5, CASES)
            + random.normal(0, 0.4, (subsets, CASES))
        )
        return 1 / (1 + np.exp(-logits))

    return draw


DIFFERENCES: dict[str, Draw] = {
    "normal 5/5/10": normal(5, 5, 10),
    "normal 2/3/5": normal(2, 3, 5),
    "the rest alone, 10": normal(0, 0, 10),
    "heavy tails 5/5/10": heavy,
    "one bad subset in five": bad,
    "failing": failing,
}
MEANS: dict[str, Draw] = {
    "mean of .79, subsets alike": levels(1.35, 0.1),
    "mean of .64, subsets differ by 1 logit": levels(0.65, 1.0),
}


def of_difference(values: NDArray[np.float64]) -> Interval:
    return interval(table(values, range(len(values))), prior_sd=5.0)


def of_mean(values: NDArray[np.float64]) -> Interval:
    found = mean_interval(table(values, range(len(values))), 0, 1, prior_sd=0.15)
    return Interval(*(100 * it for it in found))


def measure(name: str, draw: Draw, subsets: int, count: int, seed: int = 0) -> dict[str, Any]:
    """One row: coverage and mean width over ``count`` simulations."""
    random, is_mean = np.random.default_rng(seed), name in MEANS
    truth = 0.0
    if is_mean:
        truth = float(100 * np.mean([draw(random, 200) for _ in range(200)]))
    found = [(of_mean if is_mean else of_difference)(draw(random, subsets)) for _ in range(count)]
    return {
        "world": name,
        "subsets": subsets,
        "simulations": count,
        "coverage": float(np.mean([it.low <= truth <= it.high for it in found])),
        "width": float(np.mean([it.high - it.low for it in found])),
        "error of the coverage": float(stats.binom.std(count, 0.95) / count),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--simulations", type=int, default=2000, help="of each cell")
    options = parser.parse_args()
    rows = [
        measure(name, draw, subsets, options.simulations)
        for name, draw in (DIFFERENCES | MEANS).items()
        for subsets in SUBSETS
    ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
