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
        6000, "number of optimiser steps", source="DTC paper: 6000", ge=1, le=MOST_STEPS
    )
    patch_size: Sizes = setting(
        (112, 112, 80), f"size of a training patch in voxels, {IN_ORDER}", source="DTC paper, LA"
    )
    labeled_batch: int = setting(
        2, "number of labeled patches per step", source="DTC paper: 2", ge=1, le=MOST_THINGS
    )
    unlabeled_batch: int = setting(
        2, "number of unlabeled patches per step", source="DTC paper: 2", ge=0, le=MOST_THINGS
    )
    optimizer: Literal["sgd", "adam", "adamw"] = setting(
        "sgd", "optimiser; adamw is Adam with decoupled weight decay", source="DTC paper: sgd"
    )
    learning_rate: float = setting(0.01, "initial learning rate", source="DTC paper: 0.01", gt=0)
    momentum: float = setting(0.9, "momentum of SGD", source="DTC code: 0.9", ge=0, lt=1)
    betas: tuple[Share, Share] = setting(
        (0.9, 0.999), "decay rates of Adam's averages of the gradient and of its square"
    )
    weight_decay: float = setting(
        1e-4, "weight decay of the optimiser", source="DTC code: 1e-4", ge=0
    )
    learning_rate_schedule: Literal["steps", "poly", "constant"] = setting(
        "steps",
        "how the learning rate falls; steps: by learning_rate_steps; poly: as "
        "(1 - t/t_max)^learning_rate_power; constant: not at all",
        source="steps: DTC, UA-MT code; poly: SSL4MIS code; constant: MC-Net code",
    )
    learning_rate_power: float = setting(
        0.9, "exponent of the schedule poly", source="SSL4MIS code: 0.9", gt=0, le=10
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
        "which orientations occur; all: each of flip_axes is mirrored with probability 1/2; "
        "released:"
        " always exactly one is, so that of eight orientations only the four mirrored ones occur,"
        " never the scan's own",
        source="all: chosen here; released: UA-MT, DTC, SSL4MIS, MC-Net, BCP code",
    )
    crop: Literal["anywhere", "released"] = setting(
        "anywhere",
        "where patches are cut; anywhere: every place within the scan, a scan smaller than the "
        "patch"
        " padded to its size; released: never the last place of an axis, and a scan that is no"
        " larger than the patch on some axis is padded by at least three voxels on both sides",
        source="anywhere: chosen here; released: UA-MT, DTC, SSL4MIS, MC-Net, BCP code",
    )
    slices: Literal["cut", "resized"] = setting(
        "cut",
        "how a patch of two numbers is taken from a slice (x, y) of a scan in 3D; cut: as from a "
        "scan in 2D; resized: the whole slice, each pixel the nearest, in training and prediction",
        source="resized: SSL4MIS, MC-Net, BCP code on ACDC",
    )
    level_set_from: Literal["patch", "volume"] = setting(
        "patch",
        "whether the signed distance is normalised on the augmented patch, or once on the volume",
        source="DTC code: patch; DTC paper: volume",
    )
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = setting(
        "auto",
        "precision of training; auto: on CUDA the fastest that keeps the direction of every "
        "gradient"
        " of the method (its least_precision), on the CPU float32; float32: without TF32; tf32: on"
        " CUDA alone; bfloat16: by autocast",
        source="float32 without TF32: all released code, by the cards of its time",
    )
    compile: Literal["none", "compile", "graphs"] = setting(
        "none",
        "whether networks are compiled; compile: by torch.compile, which takes minutes at the "
        "start;"
        " graphs: and replayed as CUDA graphs",
    )
    deterministic: bool = setting(
        True, "whether the same run gives the same bits on the same machine"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "device that computes; auto: a GPU if one is visible, else the CPU"
    )
    runs_per_gpu: int = setting(
        1, "number of runs that share one GPU; it changes their time and no result", ge=1, le=64
    )
    gpu_volumes_gb: float = setting(
        4.0,
        "size in GB up to which a GPU holds the training volumes; larger ones stay files",
        ge=0,
    )
    cpu_threads: int = setting(
        1,
        "number of CPU threads of one run; the last bits of its result depend on it",
        ge=1,
        le=MOST_THINGS,
    )
    checkpoint_every: int = setting(
        200, "number of iterations between checkpoints", ge=1, le=MOST_STEPS
    )
    log_every: int = setting(
        10, "number of iterations between rows of history.csv", ge=1, le=MOST_STEPS
    )
    validate_every: int = setting(
        0, "number of iterations between validations; 0: none is made", ge=0, le=MOST_STEPS
    )
    snapshots: int = setting(
        0,
        "number of evenly spaced iterations whose weights are kept and measured, for the audit of "
        "checkpoint rules; 0: none",
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
