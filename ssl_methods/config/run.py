"""One run: what its training and evaluation need, written beside its results as ``run.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ssl_methods.config.base import (
    Counted,
    LabeledCases,
    Name,
    Recipe,
    Settings,
    TestFold,
    digest,
    setting,
)
from ssl_methods.config.budget import Budget, budget_name
from ssl_methods.config.datasets import Dataset
from ssl_methods.config.evaluation import EvaluationConfig
from ssl_methods.config.network import NetworkConfig
from ssl_methods.config.training import TrainingConfig

WHERE_NOT_WHAT = ("device", "runs_per_gpu", "gpu_volumes_gb")
"""Settings of the training that change where a model is made, and no bit of it."""


class MethodChoice(Settings):
    """One row of the comparison: a method, its recipe, and what is overridden."""

    method: str = Field(description="name of the method; in a file, none: the row's own name")
    module: Path | None = setting(
        None, "Python file that defines a method of one's own; relative to the working directory"
    )
    recipe: Recipe = setting(
        "unified",
        "whose training; unified: the loss, schedule and batch that all share; as_released: those"
        " of the authors' code",
    )
    settings: dict[str, Any] = setting(
        {}, "settings of the method that are not its defaults; in a file, keys of the row itself"
    )


class Run(Settings):
    """One cell of the grid: trained once, evaluated once."""

    experiment: Name
    dataset: Dataset
    name: Name  # the row's name: usually the method's own
    choice: MethodChoice
    budget: Budget
    subset: int = Field(ge=0)
    seed: int = Field(ge=0)
    validation_cases: int = Field(0, ge=0)
    labeled_cases: LabeledCases = "drawn"
    budgets_count: Counted = "cases"
    test: TestFold = "listed"
    level_cases: int = Field(0, ge=0)  # of a baseline's first phase
    network: NetworkConfig
    training: TrainingConfig
    evaluation: EvaluationConfig

    @property
    def folder(self) -> Path:
        """Below results/: where everything of this run is."""
        subset, seed = f"subset-{self.subset}", f"seed-{self.seed}"
        return Path(self.experiment, "runs", self.name, budget_name(self.budget), subset, seed)

    def training_settings(self) -> dict[str, Any]:
        """Every setting that a model depends on: the one definition of it."""
        others = {"experiment", "name", "evaluation", "level_cases"}
        settings = self.model_dump(mode="json", exclude=others)
        for name in WHERE_NOT_WHAT:
            settings["training"].pop(name)
        if self.test == "listed":  # as runs record it that are older than the setting
            settings.pop("test")
        return settings

    def training_digest(self) -> str:
        """Equal digests train equal models (given equal sources and data)."""
        return digest(self.training_settings())

    def evaluation_digest(self) -> str:
        more = [self.level_cases] if self.level_cases else []
        return digest([self.training_digest(), self.evaluation.model_dump(mode="json"), *more])


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two nested mappings of settings differ in, each as 'training.iterations: 6000 -> 10'."""
    return [f"{key}: {old} -> {new}" for key, (old, new) in changes(before, now).items()]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The settings that two nested mappings differ in, with both values as text."""
    old, new = dict(_flat(before)), dict(_flat(now))
    return {
        key: (_shown(old, key), _shown(new, key))
        for key in {**old, **new}
        if _shown(old, key) != _shown(new, key)
    }


def _flat(settings: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{parent}{key}.")
        else:
            yield f"{parent}{key}", value


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key], default=str) if key in settings else "nothing"
