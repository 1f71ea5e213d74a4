"""Two sets of measurements of the same runs: paired by run and case, and what differs in the mean.

The one home of pairing for the audits, whose second set may be another experiment, and for
``compare``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ssl_methods.analysis.components import Interval, mean_interval, p_value, run_means
from ssl_methods.analysis.components import table as table_of
from ssl_methods.analysis.measurements import metric_columns
from ssl_methods.analysis.statistics import enough, limits_of
from ssl_methods.analysis.tables import CELL, case_matrix, overall, with_class_mean
from ssl_methods.analysis.verdicts import Verdict, of_interval

OTHER = "_other"
"""Ends the column of the other experiment's measurement."""


class Difference(NamedTuple):
    """The two means over the pairs, the difference with its interval, and what it rests on.

    ``word``: the second beside the first, one of the five of ``verdicts``.
    """

    first: float
    second: float
    difference: Interval
    word: Verdict
    runs: int
    subsets: int
    cases: int


def beside(cases: pd.DataFrame, other: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The rows that both experiments have, with the other's measurements in '<metric>_other'.

    Args:
        cases: rows of ``cases.csv`` that stand for the whole (``tables.overall``).
        other: the other experiment's ``cases.csv``, all classes.
        metrics: what is measured in both.
    """
    theirs = overall(with_class_mean(other, metric_columns(other)))[[*CELL, "case", *metrics]]
    return cases.merge(theirs, on=[*CELL, "case"], suffixes=("", OTHER))


def paired_difference(
    rows: pd.DataFrame, first: str, second: str, metric: str, margin: float
) -> Difference | None:
    """Second minus first for one method and budget; None if no run has both.

    Args:
        rows: one per run and case, with the columns ``first`` and ``second``.
        metric: whose bounds the interval keeps to.
        margin: the largest difference that does not matter, in percentage points.

    The interval is that of ``components.mean_interval``, over subsets and cases.
    """
    one, other = (case_matrix(rows, name) for name in (first, second))
    difference = (other - one).dropna(how="all")
    if difference.empty:
        return None
    runs = difference.index
    subsets = runs.get_level_values("subset").to_numpy()
    found = table_of(difference.to_numpy(float), subsets.tolist())
    mean = mean_interval(found, *limits_of(metric))
    word = of_interval(mean, metric, margin, p_value(found))
    return Difference(
        float(run_means(one.loc[runs].to_numpy(float)).mean()),
        float(run_means(other.loc[runs].to_numpy(float)).mean()),
        mean,
        word if enough(found.subsets, found.cases) else "undecided",
        len(runs),
        len(np.unique(subsets)),
        difference.shape[1],
    )
