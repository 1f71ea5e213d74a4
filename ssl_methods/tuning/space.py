"""The search space of a method: ranges from its Config or from the study, and where it starts."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ssl_methods import methods
from ssl_methods.config import MethodConfig, did_you_mean
from ssl_methods.errors import UserError
from ssl_methods.tuning.study import Study

Space = dict[str, BaseDistribution]


def search_space(study: Study, row: str) -> Space:
    """Setting to Optuna distribution, in the order of the study, else of the method's Config.

    Raises UserError: a setting that does not exist or has no range, a default outside its range,
    a value of the grid that the method refuses, or a method that is not trained.
    """
    choice, where = study.methods[row].choice, f"study {study.name}: methods.{row}"
    kind = methods.method_class(choice.method)
    if kind.role == "control":
        raise UserError(f"{where}: is a control, which is not trained: there is nothing to tune")
    fields = kind.Config.model_fields
    own = {
        name: field.json_schema_extra["search"]
        for name, field in fields.items()
        if isinstance(field.json_schema_extra, dict) and "search" in field.json_schema_extra
    }
    declared = study.methods[row].search
    ranges: dict[str, Any] = dict(own if declared is None else declared)
    if study.grid:
        ranges = {name: ("choice", *values) for name, values in study.grid.items()}
    if not ranges:
        raise UserError(f"{where}: no setting to search; name one under 'search', with its range")
    for name in ranges:
        if name not in fields:
            raise UserError(f"{where}: there is no setting '{name}'{did_you_mean(name, fields)}")
        if ranges[name] is None and name not in own:
            raise UserError(f"{where}: '{name}' has no range of its own; give one: [log, 1, 10]")
    space = {name: distribution(it or own[name]) for name, it in ranges.items()}
    for point in study.grid_points():
        methods.resolve(choice.model_copy(update={"settings": choice.settings | point}), where)
    if not study.grid:
        _check_default(defaults(study, row), space, where)
    return space


def distribution(declared: Any) -> BaseDistribution:
    """('log', 1, 5000) and the like as Optuna has it."""
    kind, *ends = declared
    if kind == "choice":
        return CategoricalDistribution(ends)
    low, high = ends
    if kind == "int":
        return IntDistribution(low, high)
    return FloatDistribution(float(low), float(high), log=kind == "log")


def defaults(study: Study, row: str) -> dict[str, Any]:
    """Every setting of the method as the experiment has it: the paper's, unless overridden."""
    labeled = study.budget if isinstance(study.budget, int) else None
    config: MethodConfig = methods.resolve(study.methods[row].choice, labeled=labeled)
    return config.model_dump(mode="json")


def _check_default(default: dict[str, Any], space: Space, where: str) -> None:
    for name, range_ in space.items():
        value = default[name]
        if isinstance(range_, CategoricalDistribution):
            inside = value in range_.choices
        else:
            assert isinstance(range_, FloatDistribution | IntDistribution)
            inside = range_.low <= value <= range_.high
        if not inside:
            raise UserError(
                f"{where}: the default of '{name}', {value}, lies outside its range;"
                " trial 0 is to be the default, so widen the range"
            )
