"""Summaries of runs: each metric's mean with its interval and spread, and what the few do not tell.

The data of one method and budget are a table of runs x cases: the same test cases in every run.
What stands behind their intervals is in ``components``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.components import mean_interval, run_means, table
from ssl_methods.analysis.families import FEWEST_CASES, FEWEST_SUBSETS
from ssl_methods.analysis.tables import case_matrix, units_of_runs
from ssl_methods.measures import of

PRIOR_SD = 0.15
"""Of a mean share (Dice, 0..1) over subsets: scale of the prior below five of them."""


def limits_of(metric: str, times: int = 1) -> tuple[float, float]:
    """What a difference of two values can be; with ``times`` 2 a difference of such differences."""
    low, high = of(metric).range
    return times * (low - high), times * (high - low)


def spread(run_means: NDArray, subsets: Sequence[int]) -> tuple[float, float]:
    """(SD over subsets, SD over seeds) of the runs' means, NaN where there is only one.

    The first is of the subsets' means; the second is pooled within subsets.
    """
    groups = [run_means[np.asarray(subsets) == subset] for subset in np.unique(subsets)]
    over_subsets = np.std([group.mean() for group in groups], ddof=1) if len(groups) > 1 else np.nan
    repeated = [group for group in groups if len(group) > 1]
    if not repeated:
        return float(over_subsets), np.nan
    freedom = sum(len(group) - 1 for group in repeated)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in repeated)
    return float(over_subsets), float(np.sqrt(squares / freedom))


def support(subsets: int, cases: int) -> str:
    """How much a comparison stands on, in words: '3 subsets, 39 cases'."""
    text = f"{subsets} subset{'s' * (subsets != 1)}, {cases} case{'s' * (cases != 1)}"
    return text if enough(subsets, cases) else f"{text}: too few to tell"


def support_note(subsets: int, cases: int) -> str:
    """A sentence below a table that stands on fewer than 3 subsets or 20 cases; '' if it does not.

    Says what the few do not tell.
    """
    limits = []
    if subsets == 1:
        limits.append(
            "all runs share one labeled subset, so the intervals do not say how results vary with "
            "the choice of labels"
        )
    elif subsets < FEWEST_SUBSETS:
        limits.append(f"{subsets} labeled subsets hardly say how much the choice of labels matters")
    if cases < FEWEST_CASES:
        limits.append(f"{cases} test case{'s' * (cases != 1)} hardly stand for all patients")
    return f"Few: {'; '.join(limits)}. No method is called better on so little." if limits else ""


def enough(subsets: int, cases: int) -> bool:
    return subsets >= FEWEST_SUBSETS and cases >= FEWEST_CASES


SUMMARY_PARTS = ("", "_low", "_high", "_sd_subsets", "_sd_seeds")
"""What each metric's columns of a summary end in."""


def summarise(cases: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """One row per method, budget and class that has runs: each metric's mean, interval and spread.

    ``cases`` holds what enters a mean: ``tables.with_class_mean``.
    """
    rows = []
    for (method, budget, klass), group in cases.groupby(["method", "budget", "class"], sort=False):
        row: dict[str, object] = {"method": method, "budget": budget, "class": klass}
        for metric in metrics:
            matrix = case_matrix(group, metric)
            values = matrix.to_numpy(float)
            subsets = matrix.index.get_level_values("subset").to_numpy()
            low, high = of(metric).range
            units = units_of_runs(subsets, budget)
            prior = PRIOR_SD if (low, high) == (0, 1) else None
            interval = mean_interval(table(values, units), low, high, prior)
            found = [*interval, *spread(run_means(values), subsets)]
            row |= {metric + part: value for part, value in zip(SUMMARY_PARTS, found, strict=True)}
        rows.append(row)
    columns = [metric + part for metric in metrics for part in SUMMARY_PARTS]
    return pd.DataFrame(rows, columns=["method", "budget", "class", *columns])
