"""What the settings of every method begin with; its own stand in the method's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from ssl_methods.config.base import Settings, setting
from ssl_methods.config.training import TrainingConfig

RELEASED_LOOP = {"precision": "float32", "orientations": "released", "crop": "released"}


class MethodConfig(Settings):
    """Base of every method's own settings: the supervised part, which all methods share.

    Defaults are the unified recipe. ``as_released`` replaces those in which the authors' code
    differs; ``released`` says which it replaces for a number of labeled cases.
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
    dice_form: Literal["squared", "plain", "pooled"] = setting(
        "squared",
        "form of the Dice loss; squared: squared denominators, pooled over the labeled patches; "
        "plain: sums, for each patch; pooled: sums, pooled over the labeled patches",
        source="squared: DTC, UA-MT code; plain: DTC paper, BCP code; pooled: MC-Net code",
    )
    dice_over: Literal["foreground", "both"] = setting(
        "foreground",
        "what the Dice loss is averaged over; foreground: the classes; both: each class and its "
        "background",
        source="foreground: DTC, UA-MT code; both: SSL4MIS, BCP code",
    )

    @classmethod
    def released(cls, labeled: int | None) -> Mapping[str, Any]:
        """The settings of the authors' code for so many labeled cases; None: whatever their number.

        Most name none that depends on it.
        """
        return cls.as_released

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The loop of the authors' code: here what all of them share, float32 without TF32 and the
        orientations and crops of UA-MT's code; a method adds its own batch and schedule.

        It is idempotent.
        """
        return training.model_copy(update=RELEASED_LOOP)


def largest_weight(
    default: float, source: str = "", search: tuple[float, float] = (0.01, 10.0)
) -> Any:
    """The field of a method's ``weight``: its default, where that is from, its range for tuning."""
    meaning = "largest weight of the unlabeled term"
    return setting(default, meaning, source=source, ge=0, search=("log", *search))


def teacher_decay(default: float, source: str = "") -> Any:
    """The field of a method's ``decay``: its default, where that is from."""
    search = ("linear", 0.9, 0.999)
    return setting(default, "EMA decay of the teacher", source=source, ge=0, lt=1, search=search)


class RampedConfig(MethodConfig):
    """Settings of a method with an unlabeled term whose weight warms up."""

    weight: float = largest_weight(1.0)
    ramp: Literal["gaussian", "stepwise", "constant"] = setting(
        "gaussian",
        "how the weight rises; gaussian: weight * exp(-5 (1 - t/t_max)^2); stepwise: the same in "
        "ramp_steps; constant: not at all",
        source="paper: gaussian; code: stepwise",
    )
    ramp_steps: int = setting(
        40,
        "number of steps of a stepwise ramp",
        source="DTC, UA-MT, SASSNet, MC-Net code: 40; SSL4MIS code: 200",
        ge=1,
    )
    ramp_start: Literal[0, 1] = setting(
        0,
        "number that the ramp gives to the first iteration",
        source="MC-Net code: 1; all others: 0",
    )
    ramp_fraction: float = setting(
        1.0,
        "fraction of the run over which the weight rises",
        gt=0,
        le=1,
        search=("linear", 0.1, 1.0),
    )
