"""Every method against the baseline, and against the best method: paired differences and verdicts.

Differences are paired by labeled subset, seed and case. One metric is judged, the primary one, for
all classes together; the others are described. The best method of a budget is the one with the best
mean of the primary metric over the runs that all methods have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ssl_methods.analysis.components import FEW_SUBSETS
from ssl_methods.analysis.design import FEW_LABELS, PRIOR_SD, Design
from ssl_methods.analysis.families import NO_LIMITS, Judged, Paired, behind_the_best, judge
from ssl_methods.analysis.ranks import scores
from ssl_methods.analysis.shown import listed, role_note
from ssl_methods.analysis.tables import MEAN_CLASS, case_matrix, roles, units_of_runs
from ssl_methods.measures import OF_PAPERS, compared, of

COMPARISON_COLUMNS = [
    "pair", "method", "role", "recipe", "baseline", "budget", "labeled", "class", "metric",
    "runs", "subsets", "cases",
    "difference", "low", "high", "p_value", "p_holm", "sd_subset", "error_subset", "error_case",
    "subsets_won", "cases_won", "prior", "phases", "looked_at", "verdict", "missing",
]  # fmt: skip

NO_COMPARISON = (
    "No comparison: the experiment has no second method with runs, or its baseline has none."
)


def compare(cases: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Every method against the baseline, then every method against the best.

    Args:
        cases: the table ``cases.csv`` (with its rows of the mean over classes, if more than one).
        design: what the experiment declares; if its baseline has no runs nothing is compared with
            it.

    Returns:
        One row per ``pair`` ('baseline' or 'best'), method, budget, class and metric; column
        ``baseline`` names the method compared with. ``difference`` is method minus that one, with
        its 95 % interval (``components``), in the metric's unit. ``sd_subset`` is of that
        difference over subsets, ``error_subset`` and ``error_case`` the parts of its standard
        error, all in the unit of the margin. Of the primary metric alone: ``p_value``, two-sided
        over subsets and cases; ``p_holm``, adjusted over the methods that the experiment declares
        at the budget (of the best: over all pairs of methods); ``verdict``, one of five words
        (``verdicts``), and what is ``missing`` for one. ``looked_at``: the number of subsets of
        the look, blank before the first. Upper bounds and controls (column ``role``) are measured
        against the baseline and not judged, and the best is never one of them.
    """
    cases = cases.assign(role=roles(cases))
    rows = [*_against_baseline(cases, design), *_against_best(cases, design)]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def of_pair(comparisons: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The rows with the baseline, or with the best; tables of earlier versions have the first."""
    if "pair" not in comparisons:
        return comparisons if pair == "baseline" else comparisons[:0]
    return comparisons[comparisons["pair"] == pair]


def judged_class(cases: pd.DataFrame) -> str:
    """The class that is judged: the mean of several, or the only one."""
    names = list(cases["class"].unique())
    return MEAN_CLASS if MEAN_CLASS in names else str(names[0])


def _against_baseline(cases: pd.DataFrame, design: Design) -> Iterator[dict[str, object]]:
    if cases.empty:
        return
    judged = judged_class(cases)
    apart = set(cases.loc[cases["role"] != "method", "method"])
    for (budget, klass), group in cases.groupby(["budget", "class"], sort=False):
        reference = group[group["method"] == design.baseline]
        if reference.empty:
            continue
        others = group[group["method"] != design.baseline]
        for metric in compared(cases.columns):
            is_primary = metric == design.primary and klass == judged
            family = {
                str(method): paired
                for method, own in others.groupby("method", sort=False)
                if (paired := _paired(own, reference, metric, design)) is not None
            }
            named = {name: it for name, it in family.items() if name not in apart}
            count = max(design.declared(str(budget), apart), len(named))
            share = of(metric).scale == 100
            prior = design.prior_sd(_labeled(reference)) if share else None
            limits = _limits(metric)
            found = judge(named, count, design.margin, prior, limits)
            described = {name: it for name, it in family.items() if name in apart}
            found |= judge(described, 1, design.margin, prior, limits)
            for name, it in found.items():
                yield _row(
                    "baseline", others[others["method"] == name].iloc[0], design.baseline, metric,
                    family[name], it, design, is_primary and name not in apart,
                )  # fmt: skip


def _against_best(cases: pd.DataFrame, design: Design) -> Iterator[dict[str, object]]:
    """Rows of the primary metric: each method beside the best, on the runs that all have."""
    cases = cases[cases["role"] == "method"]
    if cases.empty:
        return
    judged, scale, limits = judged_class(cases), of(design.primary).scale, _limits(design.primary)
    for found in scores(cases[cases["class"] == judged], design.primary):
        units = units_of_runs(found.subsets, found.budget)
        own = {
            name: Paired(values * scale, units)
            for name, values in zip(found.methods, found.values, strict=True)
        }
        if len(own) < 2:
            continue
        behind = behind_the_best(own)
        (best,) = set(own) - set(behind)
        for name, p in behind.items():
            paired = Paired(own[name].values - own[best].values, units)
            it = judge({name: paired}, 1, design.margin, limits=limits)[name]
            it = it.with_p(p, paired, design.margin, limits)
            first = cases[(cases["method"] == name) & (cases["budget"] == found.budget)].iloc[0]
            yield _row("best", first, best, design.primary, paired, it, design, True)


def _row(
    pair: str, first: pd.Series, baseline: str, metric: str, paired: Paired, it: Judged,
    design: Design, is_judged: bool,
) -> dict[str, object]:  # fmt: skip
    sign = _sign(metric)
    ends = sorted((it.gain.low / sign, it.gain.high / sign))
    by_case = np.nanmean(paired.values, axis=0)
    row: dict[str, object] = {
        "pair": pair, "method": first["method"], "role": first["role"],
        "recipe": first["recipe"], "baseline": baseline, "budget": first["budget"],
        "labeled": first["labeled"], "class": first["class"], "metric": metric,
        "runs": len(paired.values), "subsets": it.subsets, "cases": it.cases,
        "difference": it.gain.mean / sign, "low": ends[0], "high": ends[1],
        "sd_subset": it.sd_subset, "error_subset": it.error_subset, "error_case": it.error_case,
        "subsets_won": it.subsets_won, "cases_won": int((by_case > 0).sum()),
        "prior": it.prior, "phases": 1 if paired.levels is None else 2,
        "verdict": "", "missing": "",
    }  # fmt: skip
    if is_judged:
        row |= {"p_value": it.p, "p_holm": it.p_holm, "missing": it.missing(design.margin)}
        row |= {"verdict": it.verdict or "", "looked_at": it.subsets if it.verdict else None}
    return row


def _paired(
    own: pd.DataFrame, reference: pd.DataFrame, metric: str, design: Design
) -> Paired | None:
    """The differences of one metric on the subsets of the look; None if no run has its counterpart.

    Larger is better, in the unit of the margin.
    """
    difference = (case_matrix(own, metric) - case_matrix(reference, metric)).dropna(how="all")
    if difference.empty:
        return None
    method, budget = str(own["method"].iloc[0]), str(own["budget"].iloc[0])
    seeds = difference.groupby(level="subset").size()
    needed = len(design.seeds) or 1
    done = [int(subset) for subset, count in seeds.items() if count >= needed]
    look = design.look(method, budget, done)
    used = difference
    if look.level is not None and (method, budget) in design.rows:
        used = difference[difference.index.get_level_values("subset").isin(look.subsets)]
    subsets = used.index.get_level_values("subset").to_numpy()
    levels = design.levels.get(budget)
    return Paired(
        used.to_numpy(float) * _sign(metric),
        units_of_runs(subsets, budget),
        levels if levels and set(subsets.tolist()) <= set(levels) else None,
        look.level,
        look.waits_for,
    )


def _sign(metric: str) -> float:
    """What turns a value into the unit of the margin, larger being better."""
    row = of(metric)
    return row.scale if row.higher_is_better else -row.scale


def _limits(metric: str) -> tuple[float, float]:
    """What a difference can be, in the unit of the margin."""
    low, high = of(metric).range
    width = (high - low) * of(metric).scale
    return (-width, width) if np.isfinite(width) else NO_LIMITS


def _labeled(cases: pd.DataFrame) -> float:
    return float(pd.to_numeric(cases["labeled"]).iloc[0])


# ---- in words ------------------------------------------------------------------------------------


def in_a_paper(design: Design) -> str:
    """How differences were judged, in the sentences of a methods section."""
    measure = of(design.primary)
    margin = f"{design.margin:g}{' points' if measure.scale == 100 else f' {measure.unit}'}"
    said = (
        "Differences were paired by labeled subset, seed and case; their 95 % intervals are of "
        "crossed components of variance over subsets and cases with Satterthwaite's degrees of "
        f"freedom. Judged was {measure.title} alone, two-sided at 5 %, adjusted over methods by "
        f"Holm's procedure, with a margin of equivalence of {margin}."
    )
    if any(len(row.looks) > 1 for row in design.rows.values()):
        said += " The declared looks spent the 5 % by O'Brien and Fleming's rule (Lan and DeMets)."
    if design.levels:
        said += (
            " Where the baseline was trained on more subsets, differences were adjusted to its "
            "level on all of them (double sampling)."
        )
    return said


def comparison_note(comparisons: pd.DataFrame, design: Design) -> str:
    """What stands below comparisons of one kind wherever they are shown."""
    if comparisons.empty:
        return NO_COMPARISON
    measure = of(design.primary)
    margin = f"{design.margin:g}{' points' if measure.scale == 100 else f' {measure.unit}'}"
    metrics = [of(name) for name in dict.fromkeys([*OF_PAPERS, *comparisons["metric"]])]
    shares = [row.title for row in metrics if row.scale == 100]
    said = [
        "Paired by labeled subset, seed and test case. Difference: mean with its 95 % interval "
        "over subsets and cases (crossed components, Satterthwaite's degrees of freedom), in "
        f"percentage points for {listed(shares)}.",
        f"Judged by {measure.title} alone, with a margin of {margin}: better, worse; equivalent "
        "(the whole interval is within the margin); not worse (above minus the margin); undecided.",
    ]
    if (comparisons["pair"] == "best").all():
        said.append(
            "The best is chosen from the same measurements: p is adjusted by Holm over all pairs "
            "of methods, whichever is the best."
        )
    else:
        said.append("p is adjusted by Holm over the methods that are declared at the budget.")
    if comparisons["prior"].fillna(False).astype(bool).any():
        few, many = (f"{it:g}" for it in PRIOR_SD)
        said.append(
            f"With fewer than {FEW_SUBSETS} subsets the interval rests on a prior too: half-t with "
            f"3 degrees of freedom on the SD over subsets, scale {few} points below "
            f"{FEW_LABELS} labels and {many} above; the prior matters."
        )
    if (comparisons["phases"] == 2).any():
        said.append(
            "Two phases: the difference is adjusted to the baseline's level on all of its subsets."
        )
    return " ".join([*said, role_note(comparisons)]).strip()
