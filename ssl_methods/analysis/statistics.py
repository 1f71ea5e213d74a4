"""Uncertainty of a mean over runs and cases, and the tests of a paired difference.

The data of one method and budget are a table of runs x cases: the same test cases in every run.
Both are samples, of the labeled subsets (and seeds) that might have been drawn and of the patients
that might have come, and they are crossed. So each replicate draws runs and cases independently of
one another and takes the mean of the crossed table ('pigeonhole' bootstrap: Owen, Ann. Appl. Stat.
2007).

- Runs are drawn by subset, with all their seeds: what seeds add is already part of how subsets
  differ, and to draw them again would count it twice (Davison & Hinkley 1997, section 3.8). With
  one subset the seeds are drawn; with one run the interval speaks of cases alone.
- n - 1 of n units are drawn: the variance is then unbiased for few units (McCarthy & Snowden 1985).
- The percentile interval is stretched about the mean by t / z, with Satterthwaite's degrees of
  freedom: with 3 subsets no percentile interval is wide enough. On simulated data of this
  project's sizes the plain one covers 83 to 92 %, this one 92 to 96 %
  (tests/unit/test_statistics.py).

The works named are cited from memory; what is claimed of the intervals rests on the simulations.

Where runs and cases have no effect of their own and only noise is left, it is too wide: it then
covers 99 % and more, and a small difference is missed rather than invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.tables import case_matrix
from ssl_methods.measures import of

FEWEST_SUBSETS, FEWEST_CASES = 3, 20
LEVEL = 0.05


class Interval(NamedTuple):
    """A mean and its 95 % interval; NaN where one unit alone leaves nothing to resample."""

    mean: float
    low: float
    high: float


def bounds_of_difference(metric: str, times: int = 1) -> tuple[float, float]:
    """The values that a difference of two means can take; with ``times`` 2 a difference of two
    such differences: (-2, 2) for how a gain in Dice changes from one budget to another."""
    low, high = of(metric).range
    return times * (low - high), times * (high - low)


def bootstrap_interval(
    values: NDArray,
    subsets: Sequence[int],
    limits: tuple[float, float] = (-np.inf, np.inf),
    replicates: int = 2000,
    seed: int = 0,
) -> Interval:
    """95 % interval of the mean over runs and cases (the module's text says how and why).

    Args:
        values: (runs, cases), of one metric or of a paired difference, in any unit.
        subsets: (runs,): the labeled subset of each run.
        limits: the interval is cut to these, e.g. (0, 1) for Dice.
        replicates, seed: of the bootstrap; equal seeds give equal bits.

    Returns:
        The mean over all values and the interval; all NaN if any value is NaN (what is not known is
        not averaged over), the ends NaN if there is but one run and one case.
    """
    values = np.asarray(values, float)
    mean = float(values.mean())
    if np.isnan(mean):
        return Interval(np.nan, np.nan, np.nan)
    units = units_of(subsets)
    by_unit = np.array([values[units == unit].mean() for unit in np.unique(units)])
    by_case = values.mean(axis=0)
    if len(by_unit) == 1 and len(by_case) == 1:
        return Interval(mean, np.nan, np.nan)

    run_weights = draws_of("runs", len(by_unit), replicates, seed)[:, units]
    run_weights = run_weights / run_weights.sum(axis=1, keepdims=True)
    case_weights = draws_of("cases", len(by_case), replicates, seed)
    means = ((run_weights @ values) * case_weights).sum(axis=1)
    ends = mean + (np.quantile(means, [0.025, 0.975]) - mean) * _stretch(by_unit, by_case)
    low, high = np.clip(ends, *limits)
    return Interval(mean, float(low), float(high))


def units_of(subsets: Sequence[int]) -> NDArray[np.intp]:
    """The unit that each run is drawn with: its subset, or itself if all are of one subset."""
    names, units = np.unique(np.asarray(subsets), return_inverse=True)
    return units if len(names) > 1 else np.arange(len(units))


@cache
def draws_of(factor: str, n: int, replicates: int, seed: int) -> NDArray[np.float64]:
    """(replicates, n): how often each of n units was drawn in n - 1 draws, as shares of 1.

    Runs and cases have random streams of their own; all metrics and methods share the draws.
    """
    random = np.random.default_rng([seed, ["runs", "cases"].index(factor)])
    draws = max(n - 1, 1)
    return random.multinomial(draws, np.full(n, 1 / n), size=replicates) / draws


def _stretch(by_unit: NDArray, by_case: NDArray) -> float:
    """t / z for the two sources of variance together."""
    from scipy import stats

    freedom = _error(by_unit, by_case)[1]
    return float(stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))


def _error(by_unit: NDArray, by_case: NDArray) -> tuple[float, float]:
    """Standard error of the mean from the means of units and of cases, and its degrees of freedom
    (Satterthwaite 1946; infinite if nothing varies)."""
    parts = [
        (means.var(ddof=1) / len(means), len(means) - 1)
        for means in (by_unit, by_case)
        if len(means) > 1
    ]
    variance = sum(part for part, _ in parts)
    divisor = sum(part**2 / freedom for part, freedom in parts)
    return float(np.sqrt(variance)), float(variance**2 / divisor) if divisor else np.inf


def mean_p(values: NDArray, subsets: Sequence[int]) -> float:
    """Two-sided p that the mean is 0, over subsets and cases: the larger of two t tests.

    The Wilcoxon test is over cases and takes the runs as given: with runs that differ by as much as
    cases do it tells two equal methods apart 39 times in 100. Here one test is over subsets and
    cases together (Satterthwaite's degrees of freedom), and one over the subsets' means alone,
    because the first is too easily passed with 3 subsets (tests/unit/test_statistics.py).

    Args:
        values: (runs, cases), paired differences.
        subsets: (runs,): the labeled subset of each run.

    Returns:
        1 if all values are 0; NaN if one is NaN, or for one run and one case.
    """
    values = np.asarray(values, float)
    units, mean = units_of(subsets), float(values.mean())
    if np.isnan(mean) or values.size == 1:
        return np.nan
    by_unit = np.array([values[units == unit].mean() for unit in np.unique(units)])
    tests = [_error(by_unit, values.mean(axis=0))]
    if len(by_unit) > 1:
        tests.append(_error(by_unit, by_unit[:1]))
    return max(_t_p(mean, error, freedom) for error, freedom in tests)


def _t_p(mean: float, error: float, freedom: float) -> float:
    from scipy import stats

    if error == 0:
        return float(mean == 0)
    return 2 * float(stats.t.sf(abs(mean) / error, freedom))


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


def wilcoxon_p(differences: NDArray) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; 1 if no case differs, NaN if one is NaN."""
    from scipy import stats

    if np.isnan(differences).any():
        return np.nan
    return float(stats.wilcoxon(differences).pvalue) if np.any(differences != 0) else 1.0


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


def holm(p_values: NDArray) -> NDArray:
    """p values adjusted by Holm's step-down rule (Holm 1979); NaN stays NaN and does not count.

    ``statsmodels.stats.multitest.multipletests`` gives the same numbers (tested) and collects
    garbage at every call, which here took longer than all the rest.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(steps).clip(max=1)
    return adjusted


def rank_biserial(differences: NDArray) -> float:
    """Effect size of the Wilcoxon test: (W+ - W-) / (W+ + W-), in -1..1.

    The matched-pairs rank-biserial correlation (Kerby 2014): the share of rank sum that speaks for
    a positive difference minus the share against it. Cases without a difference are left out, as
    in the test; 0 if none differs, NaN if one is NaN.
    """
    from scipy import stats

    if np.isnan(differences).any():
        return np.nan
    differences = differences[differences != 0]
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum()) if len(ranks) else 0.0


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
            interval = bootstrap_interval(values, subsets, of(metric).range)
            found = [*interval, *spread(values.mean(axis=1), subsets)]
            row |= {metric + part: value for part, value in zip(SUMMARY_PARTS, found, strict=True)}
        rows.append(row)
    columns = [metric + part for metric in metrics for part in SUMMARY_PARTS]
    return pd.DataFrame(rows, columns=["method", "budget", "class", *columns])
