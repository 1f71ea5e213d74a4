"""Every method against the baseline, and against the best method: paired differences and verdicts.

Differences are paired by labeled subset, seed and case. The best method of a metric is the one with
the best mean over the runs that all methods have. It is chosen from the same measurements that it
is then compared on, so it looks better than it is: that the others are worse is said too easily,
that they are no worse is not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ssl_methods.analysis.ranks import false_claim_probability, scores
from ssl_methods.analysis.shown import role_note
from ssl_methods.analysis.statistics import (
    LEVEL,
    bootstrap_interval,
    bounds_of_difference,
    enough,
    holm,
    mean_p,
    rank_biserial,
    support,
    wilcoxon_p,
)
from ssl_methods.analysis.tables import case_matrix, roles
from ssl_methods.measures import compared, of

COMPARISON_COLUMNS = [
    "pair", "method", "role", "recipe", "baseline", "budget", "labeled", "class", "metric",
    "runs", "subsets", "cases",
    "difference", "low", "high", "p_value", "p_mean", "p_holm", "effect_size", "false_claim",
    "wins", "losses", "support", "verdict",
]  # fmt: skip

COMPARISON_NOTE = (
    "Paired by labeled subset, seed and test case. Difference: mean with its 95 % interval over "
    "subsets and cases, in percentage points for Dice and Jaccard. p: Wilcoxon signed-rank test "
    "over cases; p (Holm): the larger of it and of a t test over subsets and cases, adjusted over "
    "the methods of a budget. Effect: rank-biserial correlation of "
    "that test, positive where the method is better. P(false): probability that the better mean is "
    "not of the better method, over cases, the runs taken as given. Verdict: a difference needs "
    "both the interval and p (Holm) < 0.05, on at least 3 subsets and 20 cases."
)
BEST_NOTE = (
    " The best is chosen from the same measurements, so that it looks better than it is: a "
    "difference from it may be due to that choice."
)
NO_COMPARISON = (
    "No comparison: the experiment has no second method with runs, or its baseline has none."
)


def compare(cases: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Every method against the baseline, then every method against the best.

    Args:
        cases: the table ``cases.csv`` (with its rows of the mean over classes, if more than one).
        baseline: the name of a row of the experiment; if it has no runs nothing is compared with
            it.

    Returns:
        One row per ``pair`` ('baseline' or 'best'), method, budget, class and metric; column
        ``baseline`` names the method compared with. ``difference`` is method minus that one, with
        its bootstrap interval (over subsets and cases). ``p_value`` is of the Wilcoxon test over
        cases, of differences averaged over runs: it takes the subsets as given. ``p_mean``
        (``statistics.mean_p``) does not. ``p_holm`` is the larger of the two, adjusted over the
        methods of one pair, budget, class and metric (Holm 1979). ``effect_size`` is
        ``rank_biserial``, positive where the method is better. ``false_claim`` is
        ``ranks.false_claim_probability`` of whichever mean is better. ``verdict`` asks for an
        interval without 0 and ``p_holm`` below 0.05, on at least 3 subsets and 20 cases.
        Upper bounds and controls (column ``role``) are measured against the baseline and not
        tested: they have no p-value and no verdict, and do not count among the methods that Holm
        adjusts over. The best is never one of them.
    """
    cases = cases.assign(role=roles(cases))
    rows = [*_against_baseline(cases, baseline), *_against_best(cases)]
    frame = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    frame.loc[frame["role"] != "method", ["p_value", "p_mean", "false_claim"]] = np.nan
    both = frame[["p_value", "p_mean"]].astype(float).max(axis=1, skipna=False)
    for _, group in frame.groupby(["pair", "budget", "class", "metric"], sort=False):
        frame.loc[group.index, "p_holm"] = holm(both[group.index].to_numpy())
    frame["verdict"] = [_verdict(row) for _, row in frame.iterrows()]
    return frame


def of_pair(comparisons: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The rows with the baseline, or with the best; tables of earlier versions have the first."""
    if "pair" not in comparisons:
        return comparisons if pair == "baseline" else comparisons[:0]
    return comparisons[comparisons["pair"] == pair]


def comparison_note(comparisons: pd.DataFrame) -> str:
    """What stands below comparisons of one kind wherever they are shown."""
    if comparisons.empty:
        return NO_COMPARISON
    best = "pair" in comparisons and (comparisons["pair"] == "best").all()
    return f"{COMPARISON_NOTE}{BEST_NOTE if best else ''} {role_note(comparisons)}".strip()


def _against_baseline(cases: pd.DataFrame, baseline: str) -> Iterator[dict[str, object]]:
    for _, group in cases.groupby(["budget", "class"], sort=False):
        for metric in compared(cases):
            yield from _against("baseline", baseline, group, metric)


def _against_best(cases: pd.DataFrame) -> Iterator[dict[str, object]]:
    cases = cases[cases["role"] == "method"]
    groups = dict(tuple(cases.groupby(["budget", "class"], sort=False)))
    for metric in compared(cases):
        for found in scores(cases, metric):
            best = found.methods[int(found.values.mean(axis=(1, 2)).argmax())]
            yield from _against("best", best, groups[found.budget, found.klass], metric)


def _against(
    pair: str, against: str, group: pd.DataFrame, metric: str
) -> Iterator[dict[str, object]]:
    """The rows of one budget and class; a method without a run that the other has too is left
    out."""
    others = group[group["method"] == against]
    if others.empty:
        return
    for method, own in group[group["method"] != against].groupby("method", sort=False):
        if row := _compare(own, others, metric):
            first = own.iloc[0]
            same = {name: first[name] for name in ("role", "recipe", "budget", "labeled", "class")}
            yield {"pair": pair, "method": method, "baseline": against, "metric": metric} | (
                same | row
            )


def _compare(own: pd.DataFrame, against: pd.DataFrame, metric: str) -> dict[str, object] | None:
    """The paired difference of one metric; None if no run has its counterpart."""
    difference = (case_matrix(own, metric) - case_matrix(against, metric)).dropna(how="all")
    if difference.empty:
        return None
    values = difference.to_numpy(float)
    subsets = difference.index.get_level_values("subset").to_numpy()
    interval = bootstrap_interval(values, subsets, bounds_of_difference(metric))
    by_case = values.mean(axis=0)
    better = by_case if of(metric).higher_is_better else -by_case
    return {
        "runs": len(values),
        "subsets": len(np.unique(subsets)),
        "cases": len(by_case),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p_value": wilcoxon_p(by_case),
        "p_mean": mean_p(values, subsets),
        "effect_size": rank_biserial(better),
        "false_claim": false_claim_probability(by_case * np.sign(by_case.mean())),
        "wins": int((better > 0).sum()),
        "losses": int((better < 0).sum()),
        "support": support(len(np.unique(subsets)), len(by_case)),
    }


def _verdict(row: pd.Series) -> str:
    if row["role"] != "method":
        return ""
    if not enough(row["subsets"], row["cases"]):
        return "too few to tell"
    if not (row["p_holm"] < LEVEL and (row["low"] > 0 or row["high"] < 0)):
        return "no difference shown"
    return "better" if (row["difference"] > 0) == of(row["metric"]).higher_is_better else "worse"
