"""The numbers of one part of a claim, and the verdict that they allow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.claims.declared import COSTS, TIMES, Part
from ssl_methods.analysis.components import (
    LEVEL,
    Interval,
    interval,
    mean_interval,
    p_value,
    table,
)
from ssl_methods.analysis.families import FEWEST_CASES, FEWEST_SUBSETS
from ssl_methods.analysis.statistics import enough, limits_of, support
from ssl_methods.analysis.tables import case_matrix
from ssl_methods.analysis.verdicts import of_interval
from ssl_methods.measures import of

UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Measured:
    """A part with its numbers; ``missing`` says why it has none."""

    part: Part
    budget: str = ""
    missing: str = ""
    interval: Interval = UNKNOWN
    p_value: float = np.nan
    runs: int | None = None
    subsets: int | None = None
    cases: int | None = None  # None of costs
    devices: tuple[str, ...] = ()

    def row(self, p_holm: float, margin: float) -> dict[str, object]:
        """Its row of ``claims.csv``; ``margin`` in percentage points, where the part has none."""
        finding = self.finding(p_holm, margin)
        verdict, reason = self.judge(p_holm, finding)
        return {
            "text": str(self.part), "method": self.part.method, "against": self.part.against,
            "budget": self.budget, "metric": self.part.metric,
            "effect": self.interval.mean, "low": self.interval.low, "high": self.interval.high,
            "p_value": self.p_value, "p_holm": p_holm,
            "runs": self.runs, "subsets": self.subsets, "cases": self.cases,
            "finding": finding, "verdict": verdict, "reason": reason,
        }  # fmt: skip

    def finding(self, p_holm: float, margin: float) -> str:
        """The method beside ``against`` in one of five words; '' without numbers."""
        if self.missing:
            return ""
        cases = FEWEST_CASES if self.cases is None else self.cases
        if len(self.devices) > 1 or not enough(self.subsets or 0, cases):
            return "undecided"
        margin = self.part.margin * of(self.part.metric).scale or margin
        return of_interval(self.interval, self.part.metric, margin, p_holm)

    def judge(self, p_holm: float, finding: str) -> tuple[str, str]:
        """Whether the part holds, and why."""
        if self.missing:
            return "not run", self.missing
        subsets, cases = self.subsets or 0, FEWEST_CASES if self.cases is None else self.cases
        if self.cases is None:
            text = f"{subsets} subset{'s' * (subsets != 1)}"
        else:
            text = support(subsets, cases).removesuffix(": too few to tell")
        if self.part.metric in TIMES:
            text += "; times measured beside other jobs are unreliable"
        if len(self.devices) > 1:
            return "undecided", f"measured on different devices: {', '.join(self.devices)}"
        if np.isnan(self.interval.mean):
            return "undecided", "the metric is not known for every case"
        if subsets < FEWEST_SUBSETS or cases < FEWEST_CASES:
            return "undecided", f"too few to tell: {text}"
        holds = {"better"}
        if self.part.margin:
            holds |= {"equivalent", "not_worse"} if p_holm < LEVEL else set()
        if finding in holds:
            return "supported", text
        if finding == "worse":
            return "contradicted", text
        if finding == "equivalent" and not self.part.margin:
            return finding, text
        low, high = (end + self.part.margin for end in self.interval[1:])
        border = -self.part.margin if self.part.margin else 0
        why = f"the interval holds {border}" if low <= 0 <= high else "p (Holm) is not below 0.05"
        return "undecided", f"{why}; {text}"


def measure(part: Part, cases: pd.DataFrame, runs: pd.DataFrame) -> Measured:
    if part.not_here:
        return Measured(part, missing=part.not_here)
    budgets = _budgets(part, cases)
    if isinstance(budgets, str):
        return Measured(part, missing=budgets)
    own = runs if part.metric in COSTS else cases
    own = own[own["budget"].isin(budgets)]
    part = replace(part, method=_with_runs(part.method, own))
    missing = [
        f"no runs of {name} at budget {budget}"
        for budget in budgets
        for name in (part.method, part.against)
        if own[(own["method"] == name) & (own["budget"] == budget)].empty
    ]
    shown = " - ".join(budgets)
    if missing:
        return Measured(part, shown, "; ".join(missing))
    return (_cost if part.metric in COSTS else _quality)(part, own, budgets)


def _budgets(part: Part, cases: pd.DataFrame) -> list[str] | str:
    """One budget, or the fewest and the most labels; in words why there is none."""
    by_labels = cases.sort_values("labeled", kind="stable").drop_duplicates("budget")
    names = list(by_labels["budget"])
    everything = list(by_labels.loc[by_labels["unlabeled"] == 0, "budget"])
    if part.labels == "all":
        return everything[:1] or "no budget with every training case labeled has runs"
    if part.labels == "few":
        few = [name for name in names if name not in everything]
        return few[:1] or "no budget with unlabeled cases has runs"
    return [names[0], names[-1]] if len(names) > 1 else "a second budget is needed"


def _with_runs(method: str, table: pd.DataFrame) -> str:
    present = set(table["method"])
    return next((name for name in method.split(" or ") if name in present), method)


def _quality(part: Part, cases: pd.DataFrame, budgets: list[str]) -> Measured:
    """The measured effect of a part about measurements per case."""

    def matrix(method: str, budget: str) -> pd.DataFrame:
        own = cases[(cases["method"] == method) & (cases["budget"] == budget)]
        return case_matrix(own, part.metric)

    gains = [matrix(part.method, budget) - matrix(part.against, budget) for budget in budgets]
    difference = gains[0] if len(gains) == 1 else gains[0] - gains[1]
    difference = difference.dropna(how="all")
    shown = " - ".join(budgets)
    if difference.empty:
        return Measured(part, shown, "no subset and seed that all of them have")
    values = difference.to_numpy(float)
    subsets = difference.index.get_level_values("subset").to_numpy()
    found = table(values, subsets.tolist())
    return Measured(
        part,
        shown,
        interval=mean_interval(found, *limits_of(part.metric, len(gains))),
        p_value=p_value(found, -part.margin),
        runs=len(values),
        subsets=len(np.unique(subsets)),
        cases=values.shape[1],
    )


def _cost(part: Part, runs: pd.DataFrame, budgets: list[str]) -> Measured:
    """The measured effect of a part about measurements per run."""
    own, reference = (
        runs[runs["method"] == name].set_index(["subset", "seed"])
        for name in (part.method, part.against)
    )
    difference = (own[part.metric].astype(float) - reference[part.metric].astype(float)).dropna()
    if difference.empty:
        return Measured(part, budgets[0], "no subset and seed that both have, with its cost")
    subsets = difference.index.get_level_values("subset").to_numpy()
    devices = pd.concat([own, reference])["device"].dropna().unique()
    found = table(difference.to_numpy()[:, np.newaxis], _units(subsets))
    return Measured(
        part,
        budgets[0],
        interval=interval(found),
        p_value=p_value(found),
        runs=len(difference),
        subsets=len(np.unique(subsets)),
        devices=tuple(sorted(devices)),
    )


def _units(subsets: NDArray) -> list[int]:
    """The subset of each run of a cost; the run itself where all are of one subset."""
    return subsets.tolist() if len(set(subsets.tolist())) > 1 else [*range(len(subsets))]
