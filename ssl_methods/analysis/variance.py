"""Where the variance of a metric comes from: labeled subset, seed, test case, or the rest.

The measurements of one method and budget are a crossed table of runs and cases, the runs nested:
seeds within subsets. With independent effects of mean 0,

    y[subset, seed, case] = mean + subset + seed(subset) + case + rest,

so the variance of one measurement is the sum of four. They are estimated by analysis of variance:
each mean square is set equal to its expectation (Searle, Casella & McCulloch, "Variance
Components", 1992, chapter 5; cited from memory, the tests recover simulated parts). For I subsets,
R runs, n_i of them of subset i, and K cases:

    E[MS rest]   = rest                                         (R - 1) (K - 1) degrees of freedom
    E[MS case]   = rest + R case                                K - 1
    E[MS seed]   = rest + K seed                                R - I
    E[MS subset] = rest + K seed + K n0 subset                  I - 1
    n0 = (R - sum n_i^2 / R) / (I - 1)

'Rest' is what neither run nor case explains by itself: that a labeled subset suits some cases more
than others, and noise.

An estimate below 0 is set to 0 and named in ``negative``: there was no sign of that part. What the
design cannot tell is missing, never 0:

- one seed per subset: subset and seed cannot be told apart, and ``run`` holds both;
- one subset: ``subset`` and ``run`` are not known, and are no part of the total;
- one run, or one case: nothing can be told apart.

A share has a 95 % interval from a parametric bootstrap: tables of the same design are simulated
from the estimated parts and estimated again. With fewer than five subsets it is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.components import FEW_SUBSETS, run_means, whole
from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import UNKNOWN, drop_silent, labeled_text, number, or_dash
from ssl_methods.analysis.tables import case_matrix, in_order, roles
from ssl_methods.measures import of

PARTS = ("run", "subset", "seed", "case", "rest")

COLUMNS = [
    "method", "role", "recipe", "budget", "labeled", "class", "metric",
    "runs", "subsets", "cases", "mean",
    *(f"{part}_variance" for part in PARTS), "total_variance",
    *(f"{part}_share{end}" for part in PARTS for end in ("", "_low", "_high")),
    "negative", "not_known",
]  # fmt: skip

NOTE = (
    "Parts of the variance of one measurement (analysis of variance). Run: labeled subset and seed "
    "together. Rest: that a run suits some cases more than others, and noise. An estimate below 0 "
    "is shown as 0. Shares with their 95 % interval (parametric bootstrap), from five subsets on."
)


def variance_parts(cases: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Per method, budget and class: the parts of the metric's variance, and their shares.

    Args:
        cases: the table ``cases.csv``; bounds and controls are measured too.
        metric: one of its measurements.

    Returns:
        The columns ``COLUMNS``. Variances are in the metric's unit, squared; shares are of
        ``total_variance``, the sum of run, case and rest (of seed, case and rest if there is one
        subset), with the ends of their 95 % intervals. ``run`` is subset and seed together.
        ``negative`` names what was estimated below 0 and set to 0; ``not_known`` says what the
        design cannot tell, and why.
    """
    cases = cases.assign(role=roles(cases))
    rows = []
    for (method, budget, klass), own in cases.groupby(["method", "budget", "class"], sort=False):
        matrix = case_matrix(own, metric)
        values = matrix.to_numpy(float)
        subsets = matrix.index.get_level_values("subset").to_numpy()
        parts, negative = components(values, subsets)
        total = sum(parts[name] for name in _in_total(subsets))
        first = own.iloc[0]
        rows.append({
            "method": method, "role": first["role"], "recipe": first["recipe"],
            "budget": budget, "labeled": first["labeled"], "class": klass, "metric": metric,
            "runs": len(values), "subsets": len(np.unique(subsets)), "cases": values.shape[1],
            "mean": run_means(values).mean(),
            **{f"{name}_variance": parts[name] for name in PARTS}, "total_variance": total,
            **_shares(parts, total, subsets, values.shape[1]),
            "negative": ", ".join(negative), "not_known": not_known(values, subsets),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _shares(
    parts: Mapping[str, float], total: float, subsets: NDArray, cases: int, replicates: int = 300
) -> dict[str, float]:
    """The share of each part with the ends of its interval; NaN where it is not known."""
    if not total > 0:
        return {f"{name}_share": np.nan for name in PARTS}
    random, drawn = np.random.default_rng(0), []
    names, of_run = np.unique(subsets, return_inverse=True)

    def effect(part: str, *shape: int) -> NDArray:
        return random.normal(0, np.nan_to_num(parts[part]) ** 0.5, shape)

    between = "subset" if np.isfinite(parts["subset"]) else "run"  # one seed each: both in one
    for _ in range(replicates):
        runs = effect(between, len(names))[of_run] + effect("seed", len(subsets))
        values = runs[:, None] + effect("case", cases) + effect("rest", len(subsets), cases)
        found, _ = components(values, subsets.tolist())
        whole_of_it = sum(found[name] for name in _in_total(subsets))
        if whole_of_it > 0:
            drawn.append([found[name] / whole_of_it for name in PARTS])
    none = np.full((2, len(PARTS)), np.nan)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if drawn else none
    shares: dict[str, float] = {}
    for name, first, last in zip(PARTS, low, high, strict=True):
        shares |= {f"{name}_share": parts[name] / total}
        shares |= {f"{name}_share_low": first, f"{name}_share_high": last}
    return shares


def _in_total(subsets: NDArray) -> tuple[str, str, str]:
    return ("run" if len(np.unique(subsets)) > 1 else "seed", "case", "rest")


def components(values: NDArray, subsets: Sequence[int]) -> tuple[dict[str, float], list[str]]:
    """The variance of each of ``PARTS`` (NaN: not known), and the names of those set to 0.

    Args:
        values: (runs, cases), of one metric.
        subsets: (runs,): the labeled subset of each run.
    """
    values = np.asarray(values, float)
    unknown = dict.fromkeys(PARTS, np.nan)
    runs, cases = values.shape
    if runs < 2 or cases < 2 or np.isnan(values).any():
        return unknown, []

    names, of_run, sizes = np.unique(np.asarray(subsets), return_inverse=True, return_counts=True)
    mean, by_run, by_case = values.mean(), values.mean(axis=1), values.mean(axis=0)
    by_subset = np.bincount(of_run, by_run) / sizes
    free = len(names) - 1  # degrees of freedom between subsets; runs - 1 - free within them

    residuals = values - by_run[:, None] - by_case + mean
    rest = float((residuals**2).sum() / ((runs - 1) * (cases - 1)))
    of_case = runs * float(((by_case - mean) ** 2).sum()) / (cases - 1)
    between = cases * float((sizes * (by_subset - mean) ** 2).sum())
    within = cases * float(((by_run - by_subset[of_run]) ** 2).sum())
    of_seed = within / (runs - len(names)) if runs > len(names) else None
    of_subset = between / free if free else None
    per_subset = (runs - float((sizes**2).sum()) / runs) / free if free else 1.0  # n0 above
    found = parts_of_runs(of_subset, of_seed, rest, cases, per_subset)
    if of_seed is None:
        found = {"run": found["subset"]}
    found["case"] = (of_case - rest) / runs

    rounding = 1e-12 * float(values.var())
    parts = unknown | {"rest": rest}
    parts |= {name: part if part > rounding else 0.0 for name, part in found.items()}
    if "subset" in found:
        parts["run"] = parts["subset"] + parts["seed"]
    return parts, [name for name in PARTS if found.get(name, 0.0) < -rounding]


Square = TypeVar("Square", float, NDArray[np.float64])
"""A mean square: of one table, or of many tables one each."""


def parts_of_runs(
    subset: Square | None, seed: Square | None, rest: Square, columns: int, seeds: float
) -> dict[str, Square]:
    """The parts ``subset`` and ``seed`` from the mean squares of a table, below 0 too.

    Args:
        subset, seed, rest: the mean squares; None: there is one subset, or one seed of each, whose
            part is then in the subset's.
        columns: of the table: cases, or settings that are tried.
        seeds: runs of each subset.
    """
    found = {}
    if subset is not None:
        found["subset"] = (subset - (rest if seed is None else seed)) / (columns * seeds)
    if seed is not None:
        found["seed"] = (seed - rest) / columns
    return found


def not_known(values: NDArray, subsets: Sequence[int]) -> str:
    """What the design cannot tell, in words; '' if it tells all."""
    runs, cases = np.shape(values)
    units = len(np.unique(subsets))
    if np.isnan(values).any() and whole(values):
        return "everything: test folds rotate, so that subsets differ in cases"
    if np.isnan(values).any():
        return "everything: the metric is not known for every case"
    if runs < 2 or cases < 2:
        return f"everything: one {'run' if runs < 2 else 'case'}"
    if units == 1:
        return "subset: there is one"
    return "subset and seed apart: one seed per subset" if runs == units else ""


FEW = f"shares: fewer than {FEW_SUBSETS} subsets"


def _share(row: pd.Series, part: str) -> str:
    value, *ends = (number(row[f"{part}_share{end}"], 0, 100) for end in ("", "_low", "_high"))
    return value if UNKNOWN in (value, *ends) else f"{value} [{', '.join(ends)}]"


def shown_variance(table: pd.DataFrame) -> pd.DataFrame:
    """``variance.csv`` as it is read: the shares in percent. Its index is each row's role."""
    if table.empty:
        return pd.DataFrame()
    rows, table = [], in_order(table, "labeled")
    for _, row in table.iterrows():
        measure, few = of(row["metric"]), row["subsets"] < FEW_SUBSETS
        unknown = [row["not_known"]] if row["not_known"] else []
        rows.append({
            "Method": label(row["method"]),
            "Labeled": labeled_text(row),
            "Class": row["class"],
            "Recipe": row["recipe"],
            "Runs": str(row["runs"]),
            "Subsets": str(row["subsets"]),
            f"SD, {measure.heading}": number(row["total_variance"] ** 0.5, 1, measure.scale),
            **{f"{part.title()} %": UNKNOWN if few else _share(row, part) for part in PARTS},
            "Not known": or_dash("; ".join([*unknown, *[FEW] * few])),
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=roles(table))
    return drop_silent(frame, *(f"{part.title()} %" for part in PARTS), "Not known")
