"""What the settings of every method begin with; its own stand in the method's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from ssl_methods.config.base import Settings, setting
from ssl_methods.config.training import TrainingConfig


class MethodConfig(Settings):
    """Base of every method's own settings: the supervised part, which all methods share.

    Defaults are the unified recipe. ``as_released`` replaces those in which the authors' code
    differs.
    """

    as_released: ClassVar[Mapping[str, Any]] = {}

    ce_weight: float = setting(0.5, "weight of the cross-entropy", source="UA-MT code: 0.5", ge=0)
    dice_weight: float = setting(
        0.5,
        "weight of the Dice loss",
        source="UA-MT code: 0.5",
        ge=0,
        search=("log", 0.05, 5.0),
    )
    dice_form: Literal["squared", "plain"] = setting(
        "squared",
        "squared: squared denominators, pooled over the labeled patches; plain: sums, per patch",
        source="squared: DTC, UA-MT code; plain: DTC paper",
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """How the authors' code changes the loop itself (batch, schedule); most change nothing."""
        return training


class RampedConfig(MethodConfig):
    """Settings of a method with an unlabeled term whose weight warms up."""

    weight: float = setting(
        1.0, "largest weight of the unlabeled term", ge=0, search=("log", 0.01, 10.0)
    )
    ramp: Literal["gaussian", "stepwise", "constant"] = setting(
        "gaussian",
        "weight * exp(-5 (1 - t/t_max)^2), smooth or in forty steps; or constant",
        source="paper: gaussian; code: stepwise",
    )
    ramp_fraction: float = setting(
        1.0,
        "fraction of the run over which the weight rises",
        gt=0,
        le=1,
        search=("linear", 0.1, 1.0),
    )
