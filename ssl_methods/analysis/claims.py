"""The claims that DTC was published with, as hypotheses: each with its tests and a verdict.

Luo, Chen, Song, Wang, "Semi-supervised Medical Image Segmentation through Dual-task Consistency",
AAAI 2021, tests none of its claims. ``CLAIMS`` says each as parts: this method is better than that
one, by this metric, with so many labels. A part is decided by the rules of the comparisons
(``statistics.py``): paired by subset, seed and case; supported (or contradicted) if the interval
lies on that side of 0 and p, adjusted by Holm over the parts of its claim, is below 0.05, on at
least 3 subsets and 20 cases.

- Dice: bootstrap interval over subsets and cases; Wilcoxon test over cases, and t test over subsets
  and cases, of which the larger p counts.
- What a run costs: t interval and t test over the subsets' means; there are no cases to count.
- 'No worse than' allows a margin: it is tested whether the difference is above minus the margin.

A claim is supported only if every part is, contradicted if one part is, not run if no part was.
What is undecided is not refuted: with 3 subsets a small difference cannot be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.statistics import (
    FEWEST_CASES,
    FEWEST_SUBSETS,
    LEVEL,
    Interval,
    bootstrap_interval,
    higher_is_better,
    holm,
    mean_p,
    support,
    units_of,
    wilcoxon_p,
)
from ssl_methods.analysis.tables import (
    CELL,
    case_matrix,
    drop_silent,
    or_dash,
    overall,
    p_text,
    roles,
    with_interval,
)

Labels = Literal["few", "all", "few - most"]
TIMES = ("seconds_per_iteration", "train_seconds")
COSTS = (*TIMES, "forward_passes_per_iteration")
EACH_OTHER = "each other method"
UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Part:
    """``method`` is better than ``against``: higher Dice, lower cost."""

    method: str  # 'a or b': a if it has runs there, else b
    against: str
    labels: Labels = "few"  # the smallest budget; all labels; how the gain shrinks between budgets
    metric: str = "dice"
    margin: float = 0.0  # worse by less than this is no worse
    optional: bool = False  # left out where ``against`` is not in the experiment
    not_here: str = ""  # why it cannot be tested

    def __str__(self) -> str:
        if self.labels == "few - most":
            return f"{self.method} gains less over {self.against} as labels grow"
        if self.margin:
            return f"{self.method} is no worse than {self.against} by more than {self.margin}"
        if self.metric in COSTS:
            return f"{self.method} needs fewer {self.metric.replace('_', ' ')} than {self.against}"
        return f"{self.method} is better than {self.against}"


@dataclass(frozen=True)
class Claim:
    number: int
    text: str
    source: str
    parts: tuple[Part, ...]


ABLATED = "dtc or dtc_supervised"  # the same, bit for bit, where no image is unlabeled
KIN = ("dtc", "dtc_supervised", "sdf_multitask", "multi_task_consistency")
POINT = 0.01  # of Dice; the paper's author names 0.008 between runs (DTC's repository, issue 14)

CLAIMS = (
    Claim(
        1,
        "With all labels, segmentation, level set and consistency together beat either task alone, "
        "and both without consistency.",
        "table 1, 62 labels",
        (
            Part(ABLATED, "supervised", "all"),
            Part(ABLATED, "level_set_only", "all"),
            Part(ABLATED, "sdf_multitask", "all"),
        ),
    ),
    Claim(
        2,
        "With few labels, DTC beats training on labeled images alone and the other "
        "semi-supervised methods.",
        "tables 2 and 3",
        (
            Part("dtc", "supervised"),
            Part("dtc", "mean_teacher"),
            *(
                Part("dtc", name, optional=True)
                for name in ("entropy_minimization", "dan", "ua_mt", "cct", "sassnet")
            ),
        ),
    ),
    Claim(
        3,
        "What unlabeled images and the second task gain shrinks as labels grow.",
        "figure 4",
        (Part("dtc", "supervised", "few - most"),),
    ),
    Claim(
        4,
        "DTC trains in less time than methods that perturb images or networks.",
        "tables 2 and 3",
        (
            *(
                Part("dtc", peer, metric=metric)
                for peer in ("mean_teacher", "ua_mt", "cct", "sassnet")
                for metric in TIMES
            ),
            *(
                Part("dtc", peer, metric="forward_passes_per_iteration")
                for peer in ("mean_teacher", "ua_mt")
            ),
        ),
    ),
    Claim(
        5,
        "Task consistency extends to further tasks.",
        "conclusion",
        (
            Part("multi_task_consistency", "supervised"),
            Part("multi_task_consistency", "sdf_multitask"),
            Part("multi_task_consistency", "dtc", margin=POINT),
        ),
    ),
    Claim(
        6,
        "With few labels, DTC beats every other method of the experiment.",
        "not claimed by the paper, most of them are later",
        (Part("dtc", EACH_OTHER),),
    ),
)

COLUMNS = [
    "claim", "part", "text", "source", "method", "against", "budget", "metric",
    "effect", "low", "high", "p_value", "p_mean", "p_holm", "runs", "subsets", "cases",
    "verdict", "reason",
]  # fmt: skip


def judge_claims(cases: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The table ``claims.csv``: for each claim a row for the whole, then one per part.

    Args:
        cases: the table ``cases.csv``, with its rows of the mean over classes if more than one.
        runs: the table ``runs.csv``.

    Returns:
        The columns ``COLUMNS``. ``part`` is blank for the whole. ``effect`` is method minus
        against, in the metric's unit (for 'few - most': that difference at the smallest budget
        minus that at the largest), ``low`` and ``high`` its 95 % interval. ``verdict`` is
        'supported', 'contradicted', 'undecided' or 'not run'; ``reason`` says what it stands on, or
        what is missing.
    """
    cases = overall(cases)
    cases = cases[roles(cases) == "method"]
    runs = runs[runs["status"] == "done"].drop_duplicates([*CELL])
    rows: list[dict[str, object]] = []
    for claim in CLAIMS:
        parts = [_measure(part, cases, runs) for part in _asked(claim, cases)]
        adjusted = holm(np.array([np.fmax(part.p_value, part.p_mean) for part in parts], float))
        own = [
            {"claim": claim.number, "part": i, "source": claim.source} | measured.row(float(p))
            for i, (measured, p) in enumerate(zip(parts, adjusted, strict=True), start=1)
        ]
        whole = {"claim": claim.number, "text": claim.text, "source": claim.source}
        whole |= dict.fromkeys(("method", "against", "budget", "metric"), "")
        rows += [whole | _whole(own, _left_out(claim, cases)), *own]
    return pd.DataFrame(rows, columns=COLUMNS)


# ---- which parts ---------------------------------------------------------------------------------


def _asked(claim: Claim, cases: pd.DataFrame) -> list[Part]:
    """The parts that the experiment's methods call for."""
    present = list(cases["method"].unique())
    asked = []
    for part in claim.parts:
        if part.against == EACH_OTHER:
            named = {part.against for claim in CLAIMS for part in claim.parts}
            others = [name for name in present if name not in named and name not in KIN]
            asked += [replace(part, against=name) for name in others] or [
                replace(part, not_here="the experiment has no other method")
            ]
        elif not part.optional or part.against in present:
            asked.append(part)
    return asked


def _left_out(claim: Claim, cases: pd.DataFrame) -> list[str]:
    present = set(cases["method"])
    return [part.against for part in claim.parts if part.optional and part.against not in present]


# ---- measuring -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A part with its numbers; ``missing`` says why it has none."""

    part: Part
    budget: str = ""
    missing: str = ""
    interval: Interval = UNKNOWN
    p_value: float = np.nan
    p_mean: float = np.nan  # NaN of costs, whose test is over subsets already
    runs: int | None = None
    subsets: int | None = None
    cases: int | None = None  # None of costs
    devices: tuple[str, ...] = ()

    def row(self, p_holm: float) -> dict[str, object]:
        verdict, reason = self.judge(p_holm)
        return {
            "text": str(self.part), "method": self.part.method, "against": self.part.against,
            "budget": self.budget, "metric": self.part.metric,
            "effect": self.interval.mean, "low": self.interval.low, "high": self.interval.high,
            "p_value": self.p_value, "p_mean": self.p_mean, "p_holm": p_holm,
            "runs": self.runs, "subsets": self.subsets, "cases": self.cases,
            "verdict": verdict, "reason": reason,
        }  # fmt: skip

    def judge(self, p_holm: float) -> tuple[str, str]:
        """Verdict and reason."""
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
        low, high = (end + self.part.margin for end in self.interval[1:])
        if not higher_is_better(self.part.metric):
            low, high = -high, -low
        if low > 0 and p_holm < LEVEL:
            return "supported", text
        if high < 0 and p_holm < LEVEL:
            return "contradicted", text
        border = -self.part.margin if self.part.margin else 0
        why = f"the interval holds {border}" if low <= 0 <= high else "p (Holm) is not below 0.05"
        return "undecided", f"{why}; {text}"


def _measure(part: Part, cases: pd.DataFrame, runs: pd.DataFrame) -> Measured:
    if part.not_here:
        return Measured(part, missing=part.not_here)
    budgets = _budgets(part, cases)
    if isinstance(budgets, str):
        return Measured(part, missing=budgets)
    table = runs if part.metric in COSTS else cases
    table = table[table["budget"].isin(budgets)]
    part = replace(part, method=_with_runs(part.method, table))
    missing = [
        f"no runs of {name} at budget {budget}"
        for budget in budgets
        for name in (part.method, part.against)
        if table[(table["method"] == name) & (table["budget"] == budget)].empty
    ]
    shown = " - ".join(budgets)
    if missing:
        return Measured(part, shown, "; ".join(missing))
    return (_cost if part.metric in COSTS else _quality)(part, table, budgets)


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
    """Of measurements per case."""

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
    return Measured(
        part,
        shown,
        interval=bootstrap_interval(values, subsets),
        p_value=wilcoxon_p(values.mean(axis=0) + part.margin),
        p_mean=mean_p(values + part.margin, subsets),
        runs=len(values),
        subsets=len(np.unique(subsets)),
        cases=values.shape[1],
    )


def _cost(part: Part, runs: pd.DataFrame, budgets: list[str]) -> Measured:
    """Of measurements per run."""
    own, reference = (
        runs[runs["method"] == name].set_index(["subset", "seed"])
        for name in (part.method, part.against)
    )
    difference = (own[part.metric].astype(float) - reference[part.metric].astype(float)).dropna()
    if difference.empty:
        return Measured(part, budgets[0], "no subset and seed that both have, with its cost")
    subsets = difference.index.get_level_values("subset").to_numpy()
    devices = pd.concat([own, reference])["device"].dropna().unique()
    interval, p_value = interval_over_runs(difference.to_numpy(), subsets)
    return Measured(
        part,
        budgets[0],
        interval=interval,
        p_value=p_value,
        runs=len(difference),
        subsets=len(np.unique(subsets)),
        devices=tuple(sorted(devices)),
    )


def interval_over_runs(values: NDArray, subsets: NDArray) -> tuple[Interval, float]:
    """Mean with its 95 % t interval, and the two-sided p of the t test, over the subsets' means.

    With one subset over its seeds; NaN for one run. Equal values (forward passes) have an interval
    of one point, and p 0, or 1 if they are 0.

    Args:
        values: (runs,), paired differences of a cost.
        subsets: (runs,): the labeled subset of each run.
    """
    from scipy import stats

    units = units_of(list(subsets))
    means = np.bincount(units, values) / np.bincount(units)
    mean, n = float(means.mean()), len(means)
    if n < 2:
        return Interval(mean, np.nan, np.nan), np.nan
    error = float(means.std(ddof=1) / np.sqrt(n))
    if error == 0:
        return Interval(mean, mean, mean), float(mean == 0)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    p_value = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Interval(mean, mean - half, mean + half), p_value


# ---- the claim as a whole ------------------------------------------------------------------------


def _whole(parts: list[dict[str, object]], left_out: list[str]) -> dict[str, object]:
    """Verdict and reason of a claim from those of its parts."""
    named: dict[str, list[str]] = {}
    for part in parts:
        named.setdefault(str(part["verdict"]), []).append(str(part["against"]))
    if "contradicted" in named:
        verdict = "contradicted"
    elif len(named) == 1:
        [verdict] = named
    else:
        verdict = "undecided"
    supported = len(named.pop("supported", []))
    reasons = [f"{supported} of {len(parts)} parts supported"]
    for other in ("contradicted", "undecided", "not run"):
        if other in named:
            reasons.append(f"{other}: {', '.join(dict.fromkeys(named[other]))}")
    if left_out:
        reasons.append(f"not in the experiment: {', '.join(left_out)}")
    return {"verdict": verdict, "reason": "; ".join(reasons)}


# ---- as shown ------------------------------------------------------------------------------------

NOTE = (
    "Effect: method minus against, with its 95 % interval. A part needs the interval on one side "
    "of 0 and p (Holm, over the parts of a claim) < 0.05, on at least 3 subsets and 20 cases "
    "(costs: 3 subsets). Supported: every part is; contradicted: one part is; undecided is not "
    "refuted. Data, size and length of training are this experiment's, not the paper's."
)
NO_CLAIMS = "No claims were judged."
EFFECTS = {
    "": ("", 1.0),
    "dice": ("Dice %", 100.0),
    "seconds_per_iteration": ("ms / iteration", 1000.0),
    "train_seconds": ("training s", 1.0),
    "forward_passes_per_iteration": ("forward passes / iteration", 1.0),
}


def shown_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """``claims.csv`` as it is read: claim 2, its parts 2.1, 2.2, ...; of Dice percentage points.

    Whole claims alone, or parts alone, have no column without content. Its index is the claim.
    """
    if claims.empty:
        return pd.DataFrame()
    rows = []
    for _, row in claims.iterrows():
        whole = pd.isna(row["part"])
        title, scale = EFFECTS[row["metric"]]
        rows.append({
            "Claim": f"{row['claim']:.0f}" + ("" if whole else f".{row['part']:.0f}"),
            "Says": row["text"],
            "Source": or_dash(row["source"] if whole else ""),
            "Budget": or_dash(row["budget"]),
            "Metric": or_dash(title),
            "Effect": with_interval(row, ["effect", "low", "high"], scale, sign=True),
            "p (Holm)": p_text(row["p_holm"]),
            "Verdict": row["verdict"],
            "Why": row["reason"],
        })  # fmt: skip
    frame = pd.DataFrame(rows, index=list(claims["claim"]))
    return drop_silent(frame, "Source", "Budget", "Metric", "Effect", "p (Holm)")


def claims_note(claims: pd.DataFrame) -> str:
    """What stands below the claims wherever they are shown."""
    return NO_CLAIMS if claims.empty else NOTE
