"""What an experiment declares of its comparisons: primary metric, margin, subsets and looks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ssl_methods.analysis.components import LEVEL
from ssl_methods.analysis.designs import nominal_levels
from ssl_methods.config import Experiment, budget_text
from ssl_methods.data.compared import Compared

FEW_LABELS = 8
PRIOR_SD = (10.0, 5.0)
"""Percentage points: of a difference over subsets, with fewer labels than eight and with more."""


class Row(NamedTuple):
    """The subsets that a row is trained on, in order, and how many of them each look takes."""

    subsets: tuple[int, ...]
    looks: tuple[int, ...]


class Look(NamedTuple):
    """What may be said now: on which subsets, below which p (None: nothing), what is missing."""

    subsets: tuple[int, ...]
    level: float | None
    waits_for: str


@dataclass(frozen=True)
class Design:
    """What comparisons are made by.

    ``rows`` by method and budget; a method that is not there is judged on what it has. ``levels``
    of the baseline by budget and subset, in percentage points, where there are two phases.
    """

    baseline: str
    primary: str = "dice"
    margin: float = 2.0
    seeds: tuple[int, ...] = ()
    rows: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    levels: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def declared(self, budget: str, apart: Collection[str]) -> int:
        """How many methods are compared with the baseline at a budget, those ``apart`` left out."""
        names = {name for name, at in self.rows if at == budget}
        return len(names - {self.baseline, *apart})

    def look(self, method: str, budget: str, done: Collection[int]) -> Look:
        """The last look whose subsets are all ``done``, by the method and the baseline."""
        row = self.rows.get((method, budget))
        if row is None:
            return Look(tuple(sorted(done)), LEVEL, "")
        ahead = next((i for i, it in enumerate(row.subsets) if it not in done), len(row.subsets))
        reached = [look for look in row.looks if look <= ahead]
        if not reached:
            missing = [str(it) for it in row.subsets[: row.looks[0]] if it not in done]
            return Look(
                tuple(it for it in row.subsets if it in done),
                None,
                f"runs of {len(missing)} of {row.looks[0]} subsets ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''})",
            )
        level = nominal_levels(row.looks)[len(reached) - 1] if len(row.looks) > 1 else LEVEL
        return Look(row.subsets[: reached[-1]], level, "")

    def prior_sd(self, labeled: float) -> float:
        """Scale of the prior of the SD over subsets, in percentage points."""
        return PRIOR_SD[labeled >= FEW_LABELS]


def design_of(experiment: Experiment, compared: Mapping[str, Compared]) -> Design:
    """The design of an experiment; ``compared``: the choices of second phases that are made."""
    order = {budget: it.subsets for budget, it in compared.items()}
    rows = {}
    for name in experiment.methods:
        for budget in experiment.budgets:
            looks = experiment.looks_of(name, budget)
            subsets = tuple(experiment.subsets_of(name, budget, order))
            if name == experiment.baseline or subsets:
                rows[name, budget_text(budget)] = Row(subsets, looks)
            elif budget_text(budget) in experiment.waits_at(name):
                rows[name, budget_text(budget)] = Row((), looks)
    return Design(
        experiment.baseline,
        experiment.primary,
        experiment.margin,
        experiment.seeds,
        rows,
        {
            budget: {subset: 100 * level for subset, level in it.levels.items()}
            for budget, it in compared.items()
        },
    )
