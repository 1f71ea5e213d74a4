"""The order of the methods, and how far it is to be trusted.

Methods are ordered by their mean over the runs (subset and seed) that all of them have; upper
bounds and controls are left out, and so is a method whose metric is not known for every case. Two
questions are asked of that order:

- ``ranks``: how often would a method have each rank, had other subsets and cases come? (Bootstrap
  rankings: Wiesenfarth et al., Scientific Reports 2021.) Subsets, with their seeds, and cases are
  drawn independently of one another ('pigeonhole' bootstrap: Owen, Ann. Appl. Stat. 2007), n - 1
  of n (McCarthy & Snowden 1985), all methods by the same draws.
  Of five simulated methods, 20 cases and 3 subsets, the middle 95 % hold the true
  rank 86 to 98 times in 100 (least often where subsets matter more than methods); with 8 subsets
  94 times and more; with one subset, where only cases are drawn, 42 to 97 times
  (tests/unit/test_ranks.py).
- ``agreement``: is the order the same by another metric, or with more labels? (Kendall's tau-b.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.components import run_means, whole
from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import drop_silent, number
from ssl_methods.analysis.tables import case_matrix, roles
from ssl_methods.measures import compared, of

RANK_COLUMNS = [
    "budget", "class", "metric", "method", "recipe", "methods", "runs", "subsets", "cases", "mean",
    "rank", "low", "high", "probability_first",
]  # fmt: skip
RANKS_NOTE = (
    "Rank by mean over the runs that all methods have; range: the middle 95 % of ranks when "
    "subsets and cases are resampled. With 3 subsets the range can be too narrow (it held the true "
    "rank 86 to 98 times in 100 on simulated data). Bounds and controls are left out."
)
AGREEMENT_NOTE = (
    "Kendall's tau-b of two orders of the methods: 1 for the same order, -1 for the reverse."
)


class Scores(NamedTuple):
    """What the methods of one budget and class have in common; the higher a value the better."""

    budget: str
    klass: str
    methods: list[str]
    recipes: list[str]
    values: NDArray  # (methods, runs, cases); distances are negated
    subsets: NDArray  # (runs,)


def scores(cases: pd.DataFrame, metric: str) -> Iterator[Scores]:
    """Scores of the methods, for each budget and class with at least one."""
    sign = 1 if of(metric).higher_is_better else -1
    cases = cases[roles(cases) == "method"]
    for (budget, klass), group in cases.groupby(["budget", "class"], sort=False):
        tables, recipes = {}, {}
        for method, own in group.groupby("method", sort=False):
            table = case_matrix(own, metric)
            if own[metric].notna().all() and whole(table.to_numpy(float)):
                tables[str(method)], recipes[str(method)] = table, own["recipe"].iloc[0]
        if not tables:
            continue
        common = next(iter(tables.values())).index
        for table in tables.values():
            common = common.intersection(table.index)
        if common.empty:
            continue
        # Where test folds rotate, the runs that all have may leave cases out.
        kept = [table.loc[common].dropna(axis=1, how="all") for table in tables.values()]
        values = np.stack([table.to_numpy(float) for table in kept])
        subsets = common.get_level_values("subset").to_numpy()
        yield Scores(budget, klass, [*tables], [*recipes.values()], sign * values, subsets)


def means_of(found: Scores) -> NDArray[np.float64]:
    """(methods,) the mean of each over runs, and of a run over its test cases."""
    return np.array([run_means(own).mean() for own in found.values])


# ---- ranks ---------------------------------------------------------------------------------------


def ranks(
    cases: pd.DataFrame, metric: str = "dice", replicates: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """The rank of every method within a budget and class, 1 being the best mean.

    Args:
        cases: the table ``cases.csv``.
        metric: one of its measurements.
        replicates, seed: of the bootstrap, as for the intervals.

    Returns:
        One row per budget, class and method, best first. ``low`` and ``high`` hold the middle 95 %
        of the bootstrap's ranks, ``probability_first`` is how often the method came first,
        ``rank_1``, ``rank_2``, ... how often it had each rank (missing beyond the number of
        methods). Equal methods share the ranks that they take up: half a first place each.
    """
    rows = []
    sign = 1 if of(metric).higher_is_better else -1
    for found in scores(cases, metric):
        means = means_of(found)
        shares = rank_shares(found.values, found.subsets, replicates, seed)
        rank = place(means[:, None], "min")[:, 0]
        low, high = ((shares.cumsum(axis=1) < end).sum(axis=1) + 1 for end in (0.025, 0.975))
        for i in np.argsort(rank, kind="stable"):
            rows.append({
                "budget": found.budget, "class": found.klass, "metric": metric,
                "method": found.methods[i], "recipe": found.recipes[i],
                "methods": len(means), "runs": found.values.shape[1],
                "subsets": len(np.unique(found.subsets)), "cases": found.values.shape[2],
                "mean": sign * means[i], "rank": rank[i], "low": low[i], "high": high[i],
                "probability_first": shares[i, 0],
                **{f"rank_{r}": share for r, share in enumerate(shares[i], start=1)},
            })  # fmt: skip
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=RANK_COLUMNS)


def rank_shares(
    values: NDArray, subsets: NDArray, replicates: int = 2000, seed: int = 0
) -> NDArray:
    """(methods, methods): how often each method had each rank in the bootstrap; rows sum to 1.

    Args:
        values: (methods, runs, cases), the higher the better; NaN outside a run's test fold.
        subsets: (runs,): the labeled subset of each run.
    """
    units = units_of(list(subsets))
    of_run = draws_of("runs", units.max() + 1, replicates, seed)[:, units]
    of_run = of_run / of_run.sum(axis=1, keepdims=True)
    of_case = draws_of("cases", values.shape[2], replicates, seed)
    known = ~np.isnan(values[0])
    means = np.stack([((of_run @ np.where(known, own, 0)) * of_case).sum(axis=1) for own in values])
    if not known.all():  # what was drawn may hold a case with no run of its fold
        drawn = ((of_run @ known) * of_case).sum(axis=1)
        means = means[:, drawn > 0] / drawn[drawn > 0]
    first, last = place(means, "min"), place(means, "max")
    rank = np.arange(1, len(values) + 1)[:, None, None]
    within = (first <= rank) & (rank <= last)
    return (within / (last - first + 1)).mean(axis=2).T


def place(means: NDArray, ties: Literal["min", "max"]) -> NDArray[np.intp]:
    """(methods, replicates): the rank of each mean among its column's, 1 for the highest.

    Means that differ by rounding alone are equal.
    """
    from scipy import stats

    return stats.rankdata(-means.round(12), method=ties, axis=0).astype(np.intp)


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


# ---- agreement -----------------------------------------------------------------------------------


def agreement(cases: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau-b of the methods' orders: 1 for the same order, -1 for the reverse.

    Returns:
        One row per pair (``first``, ``second``) of metrics within a budget (``between`` is
        'metrics', ``metric`` blank), and of budgets within a metric ('budgets', ``budget`` blank),
        by class, over the ``methods`` that both have. ``tau`` is missing for fewer than two.
        The order by a distance puts the smallest first.
    """
    means = {
        (found.klass, found.budget, metric): pd.Series(means_of(found), found.methods)
        for metric in compared(cases)
        for found in scores(cases, metric)
    }
    rows = []
    for (a, one), (b, other) in combinations(means.items(), 2):
        metrics = a[:2] == b[:2]
        if not metrics and (a[0], a[2]) != (b[0], b[2]):
            continue
        both = pd.concat([one, other], axis=1, join="inner")
        rows.append({
            "between": "metrics" if metrics else "budgets",
            "class": a[0], "budget": a[1] if metrics else "", "metric": "" if metrics else a[2],
            "first": a[2] if metrics else a[1], "second": b[2] if metrics else b[1],
            "methods": len(both), "tau": kendall(both[0].to_numpy(), both[1].to_numpy()),
        })  # fmt: skip
    columns = ["between", "class", "budget", "metric", "first", "second", "methods", "tau"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("between", ascending=False, kind="stable", ignore_index=True)


def kendall(a: NDArray, b: NDArray) -> float:
    from scipy import stats

    if len(a) < 2:
        return np.nan
    return float(stats.kendalltau(a.round(12), b.round(12)).statistic)


# ---- as shown ------------------------------------------------------------------------------------


def shown_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """``ranks.csv`` as it is read: the rank with its range, how often the method came first."""
    if table.empty:
        return pd.DataFrame()
    rows = []
    for _, row in table.iterrows():
        measure = of(row["metric"])
        rows.append({
            "Method": label(row["method"]),
            "Labeled": row["budget"],
            "Class": row["class"],
            "Recipe": row["recipe"],
            "Rank": f"{row['rank']} [{row['low']}, {row['high']}]",
            "First": f"{number(row['probability_first'], 0, 100)} %",
            measure.heading: number(row["mean"], 1, measure.scale),
            "Runs": str(row["runs"]),
        })  # fmt: skip
    return drop_silent(pd.DataFrame(rows, index=["method"] * len(rows)))


def shown_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """``agreement.csv`` as it is read."""
    if table.empty:
        return pd.DataFrame()
    rows = []
    for _, row in table.iterrows():
        pair = [row[name] for name in ("first", "second")]
        metrics = row["between"] == "metrics"
        pair = [of(name).title if metrics else f"budget {name}" for name in pair]
        within = f"budget {row['budget']}" if metrics else of(row["metric"]).title
        rows.append({
            "Orders by": " and ".join(pair),
            "Within": within,
            "Class": row["class"],
            "Methods": str(row["methods"]),
            "Kendall's tau": number(row["tau"], 2),
        })  # fmt: skip
    return drop_silent(pd.DataFrame(rows, index=["method"] * len(rows)))
