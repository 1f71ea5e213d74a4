"""Two networks trained side by side: the labels they exchange, and their joint prediction."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ssl_methods.config import MethodConfig, setting
from ssl_methods.losses import cross_entropy


class JointConfig(MethodConfig):
    """Settings of a method whose two networks predict together."""

    predicts: Literal["mean", "first"] = setting(
        "mean",
        "what predicts; mean: the mean probability of both networks; first: the first network",
        source="the released code: mean",
    )


def joint_prediction(
    config: JointConfig, first: nn.Module, second: nn.Module, image: Tensor
) -> Tensor:
    """Image (N, C, *spatial) to the probability that the settings ask for, (N, K, *spatial),
    float32."""
    probability: Tensor = first(image)[0].float().sigmoid()
    if config.predicts == "first":
        return probability
    return (probability + second(image)[0].float().sigmoid()) / 2


def cross_supervision(first: Tensor, second: Tensor) -> Tensor:
    """Cross-entropy of each network's logits to the other's hard labels, summed."""
    return cross_entropy(first, hard_labels(second)) + cross_entropy(second, hard_labels(first))


def hard_labels(logits: Tensor) -> Tensor:
    """What one network teaches the other: 1 where p > 0.5, else 0; float32, without gradient."""
    return (logits.detach() > 0).float()
