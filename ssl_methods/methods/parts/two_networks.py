"""Two networks trained side by side: the labels they exchange."""

from __future__ import annotations

from torch import Tensor


def hard_labels(logits: Tensor) -> Tensor:
    """What one network teaches the other: 1 where p > 0.5, else 0; float32, without gradient."""
    return (logits.detach() > 0).float()
