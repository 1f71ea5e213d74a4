"""Two networks trained side by side: the labels they exchange, and their joint prediction."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ssl_methods.classes import INDEPENDENT, Classes
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
    config: JointConfig, classes: Classes, first: nn.Module, second: nn.Module, image: Tensor
) -> Tensor:
    """Image (N, C, *spatial) to the probability that the settings ask for, (N, K, *spatial),
    float32."""
    probability = classes.probability(first(image)[0])
    if config.predicts == "first":
        return probability
    return (probability + classes.probability(second(image)[0])) / 2


def cross_supervision(first: Tensor, second: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Cross-entropy of each network's logits to the other's hard labels, summed."""
    y1, y2 = classes.likeliest_of(first), classes.likeliest_of(second)
    return cross_entropy(first, y2, classes) + cross_entropy(second, y1, classes)
