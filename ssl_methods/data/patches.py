"""Patches and the volumes that they are cut from: crop, rotation and flip as tensor operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ssl_methods.config import TrainingConfig

MAPPED = 128  # files kept open at a time, of each kind


@dataclass(frozen=True)
class Patch:
    """Where and how one patch is cut: quarter turns in the plane of the first two axes, then
    flips."""

    case: int
    start: tuple[int, ...]
    size: tuple[int, ...]
    turns: int
    flips: tuple[int, ...]

    def cut(self, volume: Tensor | NDArray[Any], fill: float = 0.0) -> Tensor:
        """Crop (channels, *spatial); pad a volume smaller than the patch with ``fill`` on both
        sides. Of an array, which may be a mapped file, only the crop is read."""
        index = tuple(
            slice(start, start + size) for start, size in zip(self.start, self.size, strict=True)
        )
        crop = volume[(slice(None), *index)]
        patch = crop if isinstance(crop, Tensor) else torch.from_numpy(np.array(crop))
        missing = [want - have for want, have in zip(self.size, patch.shape[1:], strict=True)]
        if any(missing):
            sides = [side for gap in reversed(missing) for side in (gap // 2, gap - gap // 2)]
            patch = functional.pad(patch, sides, value=fill)
        if self.turns:
            patch = torch.rot90(patch, self.turns, (1, 2))
        return patch.flip(self.flips) if self.flips else patch


def draw_patch(rng: Generator, case: int, shape: Sequence[int], training: TrainingConfig) -> Patch:
    """A patch anywhere in a volume of this spatial shape, in any of the allowed orientations."""
    turns = int(rng.integers(4)) if training.rotate else 0
    size = tuple(training.patch_size)
    if turns % 2:
        size = (size[1], size[0], *size[2:])
    start = tuple(
        int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(shape, size, strict=True)
    )
    flips = tuple(axis + 1 for axis in training.flip_axes if rng.integers(2))
    return Patch(case, start, size, turns, flips)


class Volumes:
    """One array (channels, *spatial) per case: held as a tensor, or a mapped file.

    What of a file is in memory is the system's cache, which all runs on a machine share.
    """

    def __init__(
        self,
        read: Callable[[str], NDArray[Any]],
        ids: Sequence[str],
        held_on: torch.device | None,
    ) -> None:
        self.read, self.ids = lru_cache(maxsize=MAPPED)(read), ids
        self.held = held_on and [torch.from_numpy(np.array(read(id))).to(held_on) for id in ids]

    def cut(self, patches: Sequence[Patch], fill: float = 0.0) -> Tensor:
        """At least one patch, all of one size: (N, channels, *patch)."""
        volumes = [
            self.held[patch.case] if self.held else self.read(self.ids[patch.case])
            for patch in patches
        ]
        return torch.stack(
            [patch.cut(volume, fill) for patch, volume in zip(patches, volumes, strict=True)]
        )
