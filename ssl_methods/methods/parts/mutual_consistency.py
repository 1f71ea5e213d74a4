"""Mutual consistency: each of several predictions learns the others' sharpened ones.

Wu et al., MC-Net, MICCAI 2021; its code is what CAML's began as.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from ssl_methods.classes import Classes
from ssl_methods.config import RampedConfig, TrainingConfig, setting
from ssl_methods.losses import mean_squared
from ssl_methods.methods.parts.sharpening import sharpen
from ssl_methods.networks import Upsampling


class MutualConfig(RampedConfig):
    """Settings of a method with mutual consistency, one of whose decoders enlarges linearly."""

    as_released = {
        "ce_weight": 0.0,
        "dice_form": "pooled",
        "ramp": "stepwise",
        "ramp_fraction": 0.4,
        "ramp_start": 1,
        "align_corners": True,
        "stopped": False,
    }

    temperature: float = setting(
        0.1,
        "temperature of the sharpening",
        source="MC-Net code",
        gt=0,
        le=1,
        search=("log", 0.05, 1.0),
    )
    align_corners: bool = setting(
        False,
        "whether the linear decoder enlarges with aligned corners",
        source="MC-Net code: true",
    )
    stopped: bool = setting(
        True, "whether the sharpened target has no gradient", source="MC-Net code: false"
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The learning rate stays as it is."""
        loop = {"learning_rate_schedule": "constant"}
        return super().released_training(training).model_copy(update=loop)

    @property
    def linear(self) -> Upsampling:
        """How the linear decoder enlarges."""
        return "aligned" if self.align_corners else "linear"


def mutual_consistency(config: MutualConfig, logits: Sequence[Tensor], classes: Classes) -> Tensor:
    """Sum over i != j of mean (p_i - s(p_j))^2 of two or more predictions (N, K, *spatial)."""
    guesses = [classes.probability(z) for z in logits]
    sources = [p.detach() if config.stopped else p for p in guesses]
    targets = [sharpen(p, config.temperature, classes) for p in sources]
    pairs = permutations(range(len(guesses)), 2)
    return torch.stack([mean_squared(guesses[i], targets[j], classes) for i, j in pairs]).sum()
