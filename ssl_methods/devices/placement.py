"""A method on its device, its weights in the memory layout that is quickest there by rule."""

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
    if channels_last(patch_size, device):
        import torch

        method.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return method


def channels_last(patch_size: Sequence[int], device: torch.device) -> bool:
    """For 3D on the CPU.

    Measured on two cores, batch 4, freed memory kept: steps of DTC's V-Net 1.2 times faster at
    112x112x80 and 80x80x64 with 16 filters, 1.3 at 64x64x48 with 8; forward passes alone 1.25
    times at 112x112x80, 1.03 at 32x48x32. Steps of a 2D U-Net (24 images of 256x256) take 1.2 times
    as long with it. No GPU was measured; there everything is left as it is.
    """
    return device.type == "cpu" and len(patch_size) == 3
