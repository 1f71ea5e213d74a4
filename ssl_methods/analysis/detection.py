"""What an experiment can detect at each budget, and on how many subsets a wanted difference.

In: how much the paired difference to the baseline varied over subsets and test cases, in this
experiment's tables or an earlier one's, or, where neither is there, in ``REFERENCE``. A plan takes
the SD at its upper 80 % limit: one from three subsets is too small half of the time, and a design
planned with it then finds too little (mean power .64 in place of .8, simulated).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssl_methods.analysis.designs import detectable, subsets_needed, upper_sd

SHOWN = (3, 5, 8, 12, 24)

REFERENCE = {4: 7.8, 8: 2.8, 16: 1.9}
"""Labeled cases -> SD over subsets, in Dice points; the median over methods.

Of the paired differences to ``supervised`` on three subsets of the left atrium at 1.875 mm, trained
for 400 iterations: 20 methods at 4 labels, 3 at 8 and 16.
"""
REFERENCE_FREEDOM = 2
REFERENCE_CASE_SD = 5.5
"""Dice points: of mean teacher's gain over test cases, there with 4 labels and ten subsets."""


@dataclass(frozen=True)
class Spread:
    """How a paired difference varies, in the unit of the margin.

    ``sd_subset`` over subsets with its degrees of freedom; ``error_case``: the standard error that
    the test cases add to a mean. ``source``: where both are from, in words.
    """

    sd_subset: float
    freedom: float
    error_case: float
    source: str


@dataclass(frozen=True)
class Detection:
    """What can be told at one budget. ``needed``: subsets for the wanted difference, None if the
    test cases do not allow it; ``floor``: the smallest difference with any number of subsets."""

    budget: str
    spread: Spread
    smallest: Mapping[int, float]
    needed: int | None
    floor: float


def detection(budget: str, spread: Spread, wanted: float) -> Detection:
    """The answer for one budget, at the SD's upper 80 % limit."""
    safe = upper_sd(spread.sd_subset, spread.freedom)
    return Detection(
        budget,
        spread,
        {count: detectable(safe, count, spread.error_case) for count in SHOWN},
        subsets_needed(wanted, safe, spread.error_case),
        detectable(0.0, 400, spread.error_case),
    )


def of_tables(path: Path, comparisons: pd.DataFrame, metric: str) -> dict[str, Spread]:
    """Spreads by budget, from ``comparisons.csv``: pooled over methods, with the least freedom.

    Methods share the baseline's runs, so that their SDs are not as many as there are methods.
    """
    if "sd_subset" not in comparisons:
        return {}
    told = comparisons[
        (comparisons["pair"] == "baseline")
        & (comparisons["role"] == "method")
        & (comparisons["metric"] == metric)
        & (comparisons["subsets"] > 1)
    ].dropna(subset=["sd_subset"])
    found = {}
    for budget, rows in told.groupby("budget", sort=False):
        rows = rows[rows["class"] == rows["class"].iloc[0]]
        freedom = int(rows["subsets"].min()) - 1
        found[str(budget)] = Spread(
            float(np.sqrt((rows["sd_subset"] ** 2).mean())),
            freedom,
            float(rows["error_case"].median()),
            f"{path}, {len(rows)} methods on {freedom + 1} subsets",
        )
    return found


def of_reference(labeled: int, cases: int) -> Spread:
    """Spread of the reference with as many labels, the next fewer, or the fewest."""
    nearest = max((it for it in REFERENCE if it <= labeled), default=min(REFERENCE))
    return Spread(
        REFERENCE[nearest],
        REFERENCE_FREEDOM,
        REFERENCE_CASE_SD / float(np.sqrt(cases)),
        f"the left atrium at 1.875 mm with {nearest} labels, 3 subsets; yours may differ",
    )


def lines(found: Detection, wanted: float, unit: str, there: int, hours: float | None) -> list[str]:
    """What `plan --detect` prints; ``hours`` of one more subset there, None if unknown."""
    spread = found.spread
    smallest = ", ".join(f"{value:.1f} with {count}" for count, value in found.smallest.items())
    head = (
        f"{found.budget} labels: a difference varies by {spread.sd_subset:.1f}{unit} over subsets "
        f"({spread.source})"
    )
    said = [head, f"  detectable{unit}: {smallest} subsets"]
    if found.needed is None:
        said.append(
            f"  {wanted:g}{unit} cannot be told with these test cases: {found.floor:.1f} is their "
            "floor, whatever the number of subsets"
        )
        return said
    more = max(found.needed - there, 0)
    time = "" if hours is None or not more else f", {more * hours:.1f} h"
    said.append(
        f"  {wanted:g}{unit} needs {found.needed} subsets ({more} more than declared{time}); the "
        f"test cases set a floor of {found.floor:.1f}"
    )
    return said
