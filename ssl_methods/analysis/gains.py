"""What each method gains on each labeled subset, beside the level of the baseline there."""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.comparisons import judged_class
from ssl_methods.analysis.design import Design
from ssl_methods.analysis.tables import case_matrix, roles
from ssl_methods.measures import of

COLUMNS = ["method", "role", "budget", "labeled", "subset", "level", "gain"]


def gains_by_subset(cases: pd.DataFrame, design: Design) -> pd.DataFrame:
    """One row per method, budget and labeled subset that the baseline was trained on too.

    Args:
        cases: the table ``cases.csv``, with its rows of the mean over classes if more than one.
        design: of the experiment; the primary metric and all classes together count.

    Returns:
        The columns ``COLUMNS``. ``level`` is the baseline's mean over test cases and seeds,
        ``gain`` the mean paired difference, positive where the method is better; both in the unit
        that is shown (percentage points for Dice).
    """
    if cases.empty:
        return pd.DataFrame(columns=COLUMNS)
    measure = of(design.primary)
    sign = 1 if measure.higher_is_better else -1
    cases = cases.assign(role=roles(cases))
    cases = cases[cases["class"] == judged_class(cases)]
    rows = []
    for budget, group in cases.groupby("budget", sort=False):
        reference = group[group["method"] == design.baseline]
        if reference.empty:
            continue
        base = case_matrix(reference, design.primary) * measure.scale
        levels = base.mean(axis=1).groupby(level="subset").mean()
        others = group[group["method"] != design.baseline]
        for method, own in others.groupby("method", sort=False):
            difference = case_matrix(own, design.primary) * measure.scale - base
            by_subset = difference.dropna(how="all").mean(axis=1).groupby(level="subset").mean()
            first = own.iloc[0]
            rows += [
                {
                    "method": method, "role": first["role"], "budget": budget,
                    "labeled": first["labeled"], "subset": subset, "level": levels[subset],
                    "gain": sign * gain,
                }
                for subset, gain in by_subset.items()
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)
