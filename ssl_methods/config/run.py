"""One run: what its training and evaluation need, written beside its results as ``run.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from ssl_methods.config.base import (
    Budget,
    LabeledCases,
    Name,
    Recipe,
    Settings,
    budget_text,
    digest,
    setting,
)
from ssl_methods.config.datasets import Dataset
from ssl_methods.config.evaluation import EvaluationConfig
from ssl_methods.config.network import NetworkConfig
from ssl_methods.config.training import TrainingConfig


class MethodChoice(Settings):
    """One row of the comparison: a method, its recipe, and what is overridden."""

    method: str
    module: Path | None = setting(
        None, "Python file that defines a method of one's own; relative to the working directory"
    )
    recipe: Recipe = "unified"
    settings: dict[str, Any] = {}


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
    network: NetworkConfig
    training: TrainingConfig
    evaluation: EvaluationConfig

    @property
    def folder(self) -> Path:
        """Below results/: where everything of this run is."""
        budget = f"labeled-{budget_text(self.budget)}"
        subset, seed = f"subset-{self.subset}", f"seed-{self.seed}"
        return Path(self.experiment, "runs", self.name, budget, subset, seed)

    def training_digest(self) -> str:
        """Equal digests train equal models (given equal sources and data)."""
        settings = self.model_dump(mode="json", exclude={"experiment", "name", "evaluation"})
        for name in ("device", "runs_per_gpu", "gpu_volumes_gb"):  # where, not what
            settings["training"].pop(name)
        return digest(settings)

    def evaluation_digest(self) -> str:
        return digest([self.training_digest(), self.evaluation.model_dump(mode="json")])
