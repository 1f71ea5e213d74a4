"""Every method of a family against one reference: paired differences, adjusted together, judged.

A family is what Holm adjusts over: the methods that an experiment declares, at one budget, for one
class and metric. A difference is judged at the looks that the experiment declares
(``analysis.looks``); before the first it is described and not judged.

The unit is the labeled subset, with its seeds averaged; where every training case is labeled the
subsets hold the same cases and are seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ssl_methods.analysis.components import (
    LEVEL,
    Interval,
    Table,
    error,
    has_prior,
    mean_interval,
    p_value,
    run_means,
    table,
    two_phase,
)
from ssl_methods.analysis.verdicts import Verdict, remedy, verdict

FEWEST_SUBSETS, FEWEST_CASES = 3, 20
Limits = tuple[float, float]
NO_LIMITS: Limits = (-np.inf, np.inf)


@dataclass(frozen=True)
class Paired:
    """One method's differences from the reference, positive where the method is better.

    ``values`` (runs, cases) in the unit of the margin; ``subsets`` (runs,). ``levels``: of the
    reference on every subset of the first phase, if there were two. ``look``: the p below which
    this look may decide; None before the first look. ``waits_for``: what is missing until then.
    """

    values: NDArray[np.float64]
    subsets: Sequence[int]
    levels: Mapping[int, float] | None = None
    look: float | None = LEVEL
    waits_for: str = ""

    def table(self) -> Table:
        """Its mean squares, those of the second phase if there were two."""
        if self.levels is None:
            return table(self.values, self.subsets)
        return two_phase(self.values, self.subsets, self.levels)

    def by_subset(self) -> dict[int, float]:
        """Each subset's mean over its seeds and the cases."""
        subsets, means = np.asarray(self.subsets), run_means(self.values)
        return {int(it): float(means[subsets == it].mean()) for it in np.unique(subsets)}


@dataclass(frozen=True)
class Judged:
    """What one comparison says; the gain and all SDs are in the unit of the margin.

    ``sd_subset`` is of the gain over subsets, what the level explains and the rest of the cases
    included. ``error_subset`` is the part of its standard error that more compared subsets lower,
    with its degrees of freedom, and ``error_case`` the part that only more test cases do.
    """

    gain: Interval
    p: float
    p_holm: float
    subsets: int
    cases: int
    subsets_won: int
    sd_subset: float
    error_subset: float
    error_case: float
    freedom: float
    verdict: Verdict | None
    waits_for: str
    prior: bool

    def with_p(
        self, p_holm: float, paired: Paired, margin: float, limits: Limits = NO_LIMITS
    ) -> Judged:
        """The same with a p that was adjusted elsewhere, and the verdict that follows from it."""
        return replace(
            self,
            p_holm=p_holm,
            verdict=_verdict(paired, paired.table(), p_holm, margin, None, limits),
        )

    def missing(self, margin: float) -> str:
        """What would decide it, in words; '' if it is decided."""
        if self.verdict is None:
            return self.waits_for
        if self.verdict != "undecided":
            return ""
        if self.subsets < FEWEST_SUBSETS:
            return counted(FEWEST_SUBSETS - self.subsets, "more labeled subset")
        if self.cases < FEWEST_CASES:
            return counted(FEWEST_CASES - self.cases, "more test case")
        sd = self.error_subset * float(np.sqrt(self.subsets))
        return remedy(sd, self.freedom, self.error_case, self.subsets, margin)


def judge(
    family: Mapping[str, Paired],
    declared: int,
    margin: float,
    prior_sd: float | None = None,
    limits: Limits = NO_LIMITS,
) -> dict[str, Judged]:
    """Each comparison of a family with its verdict.

    Args:
        family: by method, those that have runs.
        declared: how many methods the experiment declares in this family: p-values are adjusted
            over all of them, so that one which is not there yet makes no other easier to show.
        margin: the largest difference that does not matter.
        prior_sd: scale of the subset SD's prior below five subsets, None for none.
        limits: what a difference can be.
    """
    tables = _tables(family)
    p = {name: p_value(found, prior_sd=prior_sd) for name, found in tables.items()}
    adjusted = dict(zip(p, holm(np.array([*p.values()]), declared), strict=True))
    return {
        name: _judged(
            paired, tables[name], p[name], float(adjusted[name]), margin, prior_sd, limits
        )
        for name, paired in family.items()
    }


def _tables(family: Mapping[str, Paired]) -> dict[str, Table]:
    return {name: paired.table() for name, paired in family.items()}


def _judged(
    paired: Paired,
    found: Table,
    p: float,
    p_holm: float,
    margin: float,
    prior_sd: float | None,
    limits: Limits,
) -> Judged:
    means, se = [*paired.by_subset().values()], error(found).se
    of_cases = max(found.ms_case - found.ms_rest, 0) / (found.subsets * found.per_subset)
    return Judged(
        gain=mean_interval(found, *limits, prior_sd),
        p=p,
        p_holm=p_holm,
        subsets=found.subsets,
        cases=found.cases,
        subsets_won=sum(mean > 0 for mean in means),
        sd_subset=float(np.std(means, ddof=1)) if len(means) > 1 else np.nan,
        error_subset=float(np.sqrt(max(se**2 - of_cases, 0))),
        error_case=float(np.sqrt(of_cases)),
        freedom=max(found.subset_freedom, 1),
        verdict=_verdict(paired, found, p_holm, margin, prior_sd, limits),
        waits_for=paired.waits_for,
        prior=has_prior(found, prior_sd),
    )


def _verdict(
    paired: Paired,
    found: Table,
    p_holm: float,
    margin: float,
    prior_sd: float | None,
    limits: Limits,
) -> Verdict | None:
    """None before the first look; nothing is told on too few subsets or cases."""
    if paired.look is None:
        return None
    if found.subsets < FEWEST_SUBSETS or found.cases < FEWEST_CASES:
        return "undecided"
    gain = mean_interval(found, *limits, prior_sd, paired.look)
    return verdict(gain, p_holm, margin, paired.look)


def behind_the_best(values: Mapping[str, Paired]) -> dict[str, float]:
    """The adjusted p of each method that it is as good as the one with the best mean.

    ``values`` are the methods' own, larger where better, of the same runs and cases. The best is
    chosen from the same measurements, so p-values are adjusted by Holm over all pairs of methods,
    whichever of them is the best: none is called behind more often than 5 % of families of equal
    methods allow. The best has none.
    """
    pairs = [*combinations(values, 2)]
    p = [
        p_value(table(values[one].values - values[two].values, values[one].subsets))
        for one, two in pairs
    ]
    adjusted = dict(zip(pairs, holm(np.array(p)), strict=True))
    best = max(values, key=lambda name: float(run_means(values[name].values).mean()))
    return {
        name: float(adjusted[pair])
        for pair in pairs
        if best in pair
        for name in pair
        if name != best
    }


def holm(p_values: NDArray[np.float64], count: int | None = None) -> NDArray[np.float64]:
    """p values adjusted by Holm's step-down rule (Holm 1979), over ``count`` hypotheses.

    NaN stays NaN and does not count; ``count`` None: as many as have a p value. More than these
    count as if their p were the largest. ``statsmodels.stats.multitest.multipletests`` gives the
    same numbers (tested) and collects garbage at every call, which took longer than all the rest.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    count = max(count or 0, len(known))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * (count - np.arange(len(order)))
    adjusted[order] = np.maximum.accumulate(steps).clip(max=1)
    return adjusted


def counted(number: int, noun: str) -> str:
    """'1 subset', '2 subsets'."""
    return f"{number} {noun}{'s' * (number != 1)}"


def decided(judged: Iterable[Judged]) -> bool:
    """Whether every comparison has a verdict other than undecided."""
    return all(it.verdict not in (None, "undecided") for it in judged)
