"""On which labeled subsets each row of an experiment is trained, in the forms a file may write it.

``subsets: 3`` (or a list): every row on the same ones. ``subsets: {baseline: 40, compared: 12}``:
two phases, the baseline on 40, every other row on 12 of them, chosen by the baseline's level.
``subsets: {"4": {baseline: 40, compared: 12}, "8": 10}``: by budget. A row of methods may narrow
this with its own ``budgets`` and ``subsets`` (the first so many, instead of the compared ones).
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from ssl_methods.config.base import Settings, setting
from ssl_methods.config.budget import Budget, budget_text, parse_budget

Subsets = tuple[int, ...]


class Phases(Settings):
    """The two phases of one budget; one phase if ``compared`` is none."""

    baseline: int = setting(1, "subsets on which the baseline is trained", ge=1, le=10_000)
    compared: int | None = setting(
        None, "how many of them every other row is trained on, chosen by the baseline's level", ge=2
    )
    level_cases: int = setting(
        20,
        "labeled training cases, those of the subset left out, from which the baseline's level is "
        "read where there are two phases",
        ge=1,
        le=10_000,
    )

    @model_validator(mode="after")
    def _compared_are_of_the_baseline(self) -> Self:
        if self.compared is not None and self.compared > self.baseline:
            raise ValueError(
                f"compared ({self.compared}) are chosen of the baseline's ({self.baseline}), and "
                "cannot be more"
            )
        return self


class Scope(Settings):
    """What one row keeps of the experiment's grid."""

    budgets: tuple[Budget, ...] | None = setting(
        None, "budgets at which this row is trained; none: all of the experiment"
    )
    subsets: int | None = Field(
        None,
        ge=1,
        description="trained on the first so many subsets; none: as the experiment's subsets say",
    )


def spread_subsets(data: dict[str, Any]) -> dict[str, Any]:
    """The experiment's mapping with ``subsets`` as numbers and what is more as ``phases``.

    Raises ValueError for a form that is none of these.
    """
    given = data.get("subsets")
    if not isinstance(given, dict):
        return data
    if set(given) & {"baseline", "compared"}:
        given = {budget: given for budget in data.get("budgets") or []}
    phases = {}
    for budget, value in given.items():
        name = budget_text(parse_budget(str(budget)))
        plan = value if isinstance(value, dict) else {"baseline": value}
        phases[name] = Phases.model_validate(plan)
    declared = {budget_text(parse_budget(str(it))) for it in data.get("budgets") or []}
    if missing := sorted(declared ^ set(phases)):
        raise ValueError(
            f"subsets: by budget, it must name every budget and no other (at fault: "
            f"{', '.join(missing)})"
        )
    most = max((plan.baseline for plan in phases.values()), default=1)
    return data | {"subsets": most, "phases": phases}
