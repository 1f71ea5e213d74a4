"""The Jensen check: can this mean Jaccard belong to this mean Dice?

For one case J = D / (2 - D), which is convex in D; so over any set of cases the mean Jaccard is at
least D / (2 - D) of the mean Dice. A row that breaks this was not measured on one set of
predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ssl_methods.analysis.names import label

PAIRS = (("dice", "jaccard"), ("dice_largest_component", "jaccard_largest_component"))


def least_jaccard(dice: float) -> float:
    """The smallest mean Jaccard that a mean Dice allows; both in 0..1."""
    return dice / (2.0 - dice)


def jensen_ok(dice: float, jaccard: float, rounding: float = 0.0) -> bool:
    """Does a row of means pass?

    Args:
        dice, jaccard: means over the same cases, in 0..1.
        rounding: half a unit of the last digit of quoted values (0.00005 for '86.03 %'); 0 for
            values that were computed here.
    """
    # 1e-5: our own tables carry six digits
    return jaccard + rounding >= least_jaccard(dice - rounding) - 1e-5


def row_ok(row: Mapping[str, Any]) -> bool | None:
    """Does a row of our own tables pass, with and without post-processing? None if not known."""
    known = [
        (float(row[dice]), float(row[jaccard]))
        for dice, jaccard in PAIRS
        if pd.notna(row.get(dice)) and pd.notna(row.get(jaccard))
    ]
    return all(jensen_ok(*pair) for pair in known) if known else None


def jensen_note(summary: pd.DataFrame) -> str:
    """Which rows of a summary pass, in a sentence."""
    checked = summary.dropna(subset=["jensen_ok"])
    failed = checked[checked["jensen_ok"].astype(str) != "True"]
    text = (
        f"{len(checked) - len(failed)} of {len(checked)} rows pass the Jensen check: mean Jaccard "
        "is at least D / (2 - D) of the mean Dice D, as it must be for means over the same cases."
    )
    names = ", ".join(f"{label(row['method'])} at {row['budget']}" for _, row in failed.iterrows())
    return f"{text} Not: {names}." if names else text
