"""Regression tasks beside segmentation, each with a differentiable way back to a probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_methods import level_set
from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.methods.base import Batch


@dataclass(frozen=True)
class Task:
    """What one head regresses; tensors are (N, K, *spatial), float32.

    ``target``: from the labeled part of a batch, which must hold level sets.
    ``activation``: from the head's raw output to the range of the target.
    ``to_probability``: from that range to [0, 1]; the target gives the labels back, nearly.
    """

    target: Callable[[Batch], Tensor]
    activation: Callable[[Tensor], Tensor]
    to_probability: Callable[[Tensor], Tensor]


def regression_tasks(
    k: float, margin: float, k_inner: float, classes: Classes = INDEPENDENT
) -> dict[str, Task]:
    """Every task there is, by name; the steepness of each transform, and the margin, are > 0."""
    return {
        "level_set": level_set_task(k, classes),
        "inner_distance": inner_distance_task(margin, k_inner, classes),
    }


def level_set_task(k: float, classes: Classes = INDEPENDENT) -> Task:
    """The level set of DTC, in [-1, 1], and its smooth inverse of steepness k."""
    return Task(level_sets, torch.tanh, lambda z: level_set.to_probability(z, k, classes))


def inner_distance_task(margin: float, k: float, classes: Classes = INDEPENDENT) -> Task:
    """Depth within the object, in [0, 1]: 0 outside, margin / (1 + margin) on its contour, 1 at
    its core; and a sigmoid of steepness k, half-way between outside and contour."""

    def target(batch: Batch) -> Tensor:
        return batch.labels * (margin - level_sets(batch)) / (1 + margin)

    threshold = margin / (2 * (1 + margin))
    return Task(target, torch.sigmoid, lambda d: classes.probability(k * (d - threshold)))


def level_sets(batch: Batch) -> Tensor:
    assert batch.level_sets is not None, "targets asks for level sets"
    return batch.level_sets
