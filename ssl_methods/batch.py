"""What passes between the loop and a method: a step's patches in, named loss terms out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One step's patches. The labels of unlabeled cases do not exist here."""

    labeled_images: Tensor  # (L, C, *patch) float32
    labels: Tensor  # (L, K, *patch) float32, 0 or 1, one channel per foreground class
    unlabeled_images: Tensor  # (U, C, *patch) float32; U is 0 when all cases are labeled
    level_sets: Tensor | None = (
        None  # (L, K, *patch) float32 in [-1, 1], if in the method's targets
    )


@dataclass(frozen=True)
class Progress:
    """Iteration t (from 0) of t_max."""

    t: int
    t_max: int


class Term(NamedTuple):
    """A scalar loss and the weight with which it enters the sum."""

    value: Tensor
    weight: float


LossTerms = dict[str, Term]
Loss = Callable[[Batch, Progress], LossTerms]
