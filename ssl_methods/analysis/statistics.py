"""Uncertainty of a mean over runs and cases, and paired comparison with a baseline.

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

from ssl_methods.analysis.tables import CELL, case_matrix, roles

METRICS_COMPARED = ("dice", "jaccard", "asd_voxel", "hd95_voxel")
FEWEST_SUBSETS, FEWEST_CASES = 3, 20
LEVEL = 0.05


class Interval(NamedTuple):
    """A mean and its 95 % interval; NaN where one unit alone leaves nothing to resample."""

    mean: float
    low: float
    high: float


def higher_is_better(metric: str) -> bool:
    return metric.startswith(("dice", "jaccard", "nsd"))


def bounds(metric: str) -> tuple[float, float]:
    """The values that a metric can take."""
    if higher_is_better(metric):
        return 0.0, 1.0
    return (0.0, np.inf) if metric.startswith(("asd", "assd", "hd95")) else (-np.inf, np.inf)


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
    """t / z for the two sources of variance together (Satterthwaite 1946)."""
    from scipy import stats

    parts = [
        (means.var(ddof=1) / len(means), len(means) - 1)
        for means in (by_unit, by_case)
        if len(means) > 1
    ]
    divisor = sum(variance**2 / freedom for variance, freedom in parts)
    if divisor == 0:
        return 1.0
    freedom = sum(variance for variance, _ in parts) ** 2 / divisor
    return float(stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))


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
    return text if _enough(subsets, cases) else f"{text}: too few to tell"


def _enough(subsets: int, cases: int) -> bool:
    return subsets >= FEWEST_SUBSETS and cases >= FEWEST_CASES


def compare(cases: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Every method against the baseline, paired by labeled subset, seed and case.

    Args:
        cases: the table ``cases.csv`` (with its rows of the mean over classes, if more than one).
        baseline: the name of a row of the experiment; if it has no runs the answer has no rows.

    Returns:
        One row per method, budget, class and metric: ``difference`` is method minus baseline, with
        its bootstrap interval (over subsets and cases). ``p_value`` is of the Wilcoxon test over
        cases, of differences averaged over runs: it takes the subsets as given. ``p_holm`` adjusts
        it over the methods of one budget, class and metric (Holm 1979). ``verdict`` asks for both:
        an interval without 0 and ``p_holm`` below 0.05, on at least 3 subsets and 20 cases.
        Upper bounds and controls (column ``role``) are measured and not tested: they have no
        p-value and no verdict, and do not count among the methods that Holm adjusts over.
    """
    cases = cases.assign(role=roles(cases))
    rows = []
    for (budget, klass), group in cases.groupby(["budget", "class"], sort=False):
        reference = group[group["method"] == baseline]
        for method, own in group[group["method"] != baseline].groupby("method", sort=False):
            for metric in METRICS_COMPARED:
                if not reference.empty and (row := _compare(own, reference, metric)):
                    first = own.iloc[0]
                    rows.append({
                        "method": method, "role": first["role"], "recipe": first["recipe"],
                        "baseline": baseline, "budget": budget,
                        "labeled": first["labeled"], "class": klass, "metric": metric, **row,
                    })  # fmt: skip
    frame = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    frame.loc[frame["role"] != "method", "p_value"] = np.nan
    for _, group in frame.groupby(["budget", "class", "metric"], sort=False):
        frame.loc[group.index, "p_holm"] = holm(group["p_value"].to_numpy(float))
    frame["verdict"] = [_verdict(row) for _, row in frame.iterrows()]
    return frame


COMPARISON_COLUMNS = [
    "method", "role", "recipe", "baseline", "budget", "labeled", "class", "metric",
    "runs", "subsets", "cases",
    "difference", "low", "high", "p_value", "p_holm", "wins", "losses", "support", "verdict",
]  # fmt: skip


def _compare(own: pd.DataFrame, reference: pd.DataFrame, metric: str) -> dict[str, object] | None:
    """The paired difference of one metric; None if no run has its counterpart."""
    difference = (case_matrix(own, metric) - case_matrix(reference, metric)).dropna(how="all")
    if difference.empty:
        return None
    values = difference.to_numpy(float)
    subsets = difference.index.get_level_values("subset").to_numpy()
    interval = bootstrap_interval(values, subsets)
    by_case = values.mean(axis=0)
    better = by_case if higher_is_better(metric) else -by_case
    return {
        "runs": len(values),
        "subsets": len(np.unique(subsets)),
        "cases": len(by_case),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p_value": wilcoxon_p(by_case),
        "wins": int((better > 0).sum()),
        "losses": int((better < 0).sum()),
        "support": support(len(np.unique(subsets)), len(by_case)),
    }


def holm(p_values: NDArray) -> NDArray:
    from statsmodels.stats.multitest import multipletests

    adjusted = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = multipletests(p_values[known], method="holm")[1]
    return adjusted


def _verdict(row: pd.Series) -> str:
    if row["role"] != "method":
        return ""
    if not _enough(row["subsets"], row["cases"]):
        return "too few to tell"
    if not (row["p_holm"] < LEVEL and (row["low"] > 0 or row["high"] < 0)):
        return "no difference shown"
    return "better" if (row["difference"] > 0) == higher_is_better(row["metric"]) else "worse"


def summarise(cases: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """One row per method, budget and class that has runs: each metric's mean, interval and spread.

    ``failures`` counts cases predicted empty though the reference is not, over all runs.
    """
    rows = []
    for (method, budget, klass), group in cases.groupby(["method", "budget", "class"], sort=False):
        row: dict[str, object] = {"method": method, "budget": budget, "class": klass}
        for metric in metrics:
            matrix = case_matrix(group, metric)
            values, subsets = (
                matrix.to_numpy(float),
                matrix.index.get_level_values("subset").to_numpy(),
            )
            interval = bootstrap_interval(values, subsets, bounds(metric))
            over_subsets, over_seeds = spread(values.mean(axis=1), subsets)
            row |= {
                metric: interval.mean,
                f"{metric}_low": interval.low,
                f"{metric}_high": interval.high,
                f"{metric}_sd_subsets": over_subsets,
                f"{metric}_sd_seeds": over_seeds,
            }
        row |= {"cases": group["case"].nunique(), "failures": int(group["failure"].sum())}
        row |= {"measurements": len(group.drop_duplicates([*CELL, "case"]))}
        rows.append(row)
    return pd.DataFrame(rows)
