"""A method on its device, its weights in the memory layout that is quickest by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import nn

    M = TypeVar("M", bound=nn.Module)


def place(method: M, patch_size: Sequence[int], device: torch.device) -> M:
    """The method itself, moved to the device: to train it, and to predict patches with it."""
    method.to(device)
    if channels_last(patch_size):
        import torch

        method.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return method


def channels_last(patch_size: Sequence[int]) -> bool:
    """Whether it is 3D: quicker on the CPU and on a GPU (docs/explanation/decisions.md)."""
    return len(patch_size) == 3
