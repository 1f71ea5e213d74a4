"""Settings of the training loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ssl_methods.config.base import (
    IN_ORDER,
    MOST_STEPS,
    MOST_THINGS,
    PER_AXIS,
    Settings,
    Sizes,
    setting,
)

Share = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["bfloat16", "tf32", "float32"]
FASTEST_FIRST: tuple[Precision, ...] = ("bfloat16", "tf32", "float32")


def rounds_more(precision: str, than: str) -> bool:
    """Whether the first precision keeps fewer digits than the second."""
    order: list[str] = [*FASTEST_FIRST]
    return order.index(precision) < order.index(than)


class TrainingConfig(Settings):
    """The loop, the same for every method."""

    iterations: int = setting(
        6000, "optimiser steps", source="DTC paper: 6000", ge=1, le=MOST_STEPS
    )
    patch_size: Sizes = setting(
        (112, 112, 80), f"voxels of a training patch, {IN_ORDER}", source="DTC paper, LA"
    )
    labeled_batch: int = setting(
        2, "labeled patches per step", source="DTC paper: 2", ge=1, le=MOST_THINGS
    )
    unlabeled_batch: int = setting(
        2, "unlabeled patches per step", source="DTC paper: 2", ge=0, le=MOST_THINGS
    )
    optimizer: Literal["sgd", "adam", "adamw"] = setting(
        "sgd", "adamw: Adam with decoupled weight decay", source="DTC paper: sgd"
    )
    learning_rate: float = setting(0.01, "at the start", source="DTC paper: 0.01", gt=0)
    momentum: float = setting(0.9, "of SGD", source="DTC code: 0.9", ge=0, lt=1)
    betas: tuple[Share, Share] = setting(
        (0.9, 0.999), "decays of Adam's averages of the gradient and its square"
    )
    weight_decay: float = setting(1e-4, "of the optimiser", source="DTC code: 1e-4", ge=0)
    learning_rate_schedule: Literal["steps", "poly", "constant"] = setting(
        "steps",
        "steps: by learning_rate_steps; poly: times (1 - t/t_max)^learning_rate_power; constant",
        source="steps: DTC, UA-MT code; poly: SSL4MIS code; constant: MC-Net code",
    )
    learning_rate_power: float = setting(
        0.9, "exponent of poly", source="SSL4MIS code: 0.9", gt=0, le=10
    )
    learning_rate_steps: tuple[float, ...] = setting(
        (2500 / 6000, 5000 / 6000),
        "fractions of the run after which the learning rate is divided by ten",
        source="DTC paper: every 2500 of 6000",
    )
    flip_axes: Annotated[tuple[int, ...], Field(max_length=3), PER_AXIS] = setting(
        (0, 1),
        f"axes that may be mirrored: 0, 1, 2, {IN_ORDER}",
        source="UA-MT, DTC code: the first two",
    )
    rotate: bool = setting(
        True,
        "rotate by a multiple of 90 degrees in the plane of the first two axes (x, y)",
        source="UA-MT, DTC code",
    )
    orientations: Literal["all", "released"] = setting(
        "all",
        "all: each of flip_axes is mirrored with probability 1/2; released: always exactly one, so"
        " that of eight orientations only the four mirrored ones occur, never the scan's own",
        source="all: chosen here; released: UA-MT, DTC, SSL4MIS, MC-Net, BCP code",
    )
    crop: Literal["anywhere", "released"] = setting(
        "anywhere",
        "anywhere: every place within the scan, a scan smaller than the patch padded to its size;"
        " released: never the last place of an axis, and a scan that is no larger than the patch"
        " on some axis is padded by at least three voxels on both sides",
        source="anywhere: chosen here; released: UA-MT, DTC, SSL4MIS, MC-Net, BCP code",
    )
    level_set_from: Literal["patch", "volume"] = setting(
        "patch",
        "normalise the signed distance on the augmented patch, or once on the whole volume",
        source="DTC code: patch; DTC paper: volume",
    )
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = setting(
        "auto",
        "auto: on CUDA the fastest that keeps the direction of every gradient of the method"
        " (its least_precision), on the CPU float32; float32: without TF32; tf32: CUDA alone;"
        " bfloat16: autocast",
        source="float32 without TF32: all released code, by the cards of its time",
    )
    compile: Literal["none", "compile", "graphs"] = setting(
        "none",
        "compile: networks by torch.compile, which takes minutes at the start; graphs: and replayed"
        " as CUDA graphs",
    )
    deterministic: bool = setting(True, "the same run gives the same bits on the same machine")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: a GPU if one is visible, else the CPU"
    )
    runs_per_gpu: int = setting(
        1, "runs that share one GPU; changes their time and no result", ge=1, le=64
    )
    gpu_volumes_gb: float = setting(
        4.0,
        "a GPU holds the training volumes if they take no more than this; larger ones stay files",
        ge=0,
    )
    cpu_threads: int = setting(
        1, "threads of one run on the CPU; part of the result's last bits", ge=1, le=MOST_THINGS
    )
    checkpoint_every: int = setting(200, "iterations between checkpoints", ge=1, le=MOST_STEPS)
    log_every: int = setting(10, "iterations between rows of history.csv", ge=1, le=MOST_STEPS)
    validate_every: int = setting(0, "iterations between validations; 0: none", ge=0, le=MOST_STEPS)
    snapshots: int = setting(
        0,
        "evenly spaced iterations whose weights are kept and measured, for the audit of checkpoint "
        "rules; 0: none",
        ge=0,
        le=100,
    )

    @field_validator("flip_axes")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not name an axis twice")
        return value

    @field_validator("learning_rate_steps")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(value) or any(not 0 < step <= 1 for step in value):
            raise ValueError("must rise, within 0..1")
        return value
