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
    flips. It may begin before the volume and end beyond it.

    ``slice``: of a patch in 2D of a volume in 3D, its place on the last axis. ``resized``: the
    patch is the whole volume or slice, at another size.
    """

    case: int
    start: tuple[int, ...]
    size: tuple[int, ...]
    turns: int
    flips: tuple[int, ...]
    slice: int | None = None
    resized: bool = False

    def cut(self, volume: Tensor | NDArray[Any], fill: float = 0.0) -> Tensor:
        """Crop (channels, *spatial), with ``fill`` where there is no volume. Of an array, which may
        be a mapped file, only the crop is read."""
        volume = volume if self.slice is None else volume[..., self.slice]
        patch = nearest(as_tensor(volume), self.size) if self.resized else self._crop(volume, fill)
        if self.turns:
            patch = torch.rot90(patch, self.turns, (1, 2))
        return patch.flip(self.flips) if self.flips else patch

    def _crop(self, volume: Tensor | NDArray[Any], fill: float) -> Tensor:
        ends = [start + size for start, size in zip(self.start, self.size, strict=True)]
        index = tuple(
            slice(max(start, 0), max(end, 0)) for start, end in zip(self.start, ends, strict=True)
        )
        patch = as_tensor(volume[(slice(None), *index)])
        before = [max(-start, 0) for start in self.start]
        after = [max(end - have, 0) for end, have in zip(ends, volume.shape[1:], strict=True)]
        if any(before + after):
            pairs = zip(reversed(before), reversed(after), strict=True)
            patch = functional.pad(patch, [side for pair in pairs for side in pair], value=fill)
        return patch


def as_tensor(array: Tensor | NDArray[Any]) -> Tensor:
    """A tensor as it is, or what an array holds, read."""
    return array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))


def nearest(volume: Tensor, size: Sequence[int]) -> Tensor:
    """(channels, *spatial) at another size, each voxel the nearest one, corner on corner.

    What ``scipy.ndimage.zoom`` of order 0 gives, by which published code resizes slices.
    """
    for axis, (have, want) in enumerate(zip(volume.shape[1:], size, strict=True), start=1):
        places = torch.linspace(0, have - 1, want, dtype=torch.float64).add(0.5).floor().long()
        volume = volume.index_select(axis, places.to(volume.device))
    return volume


def draw_patch(rng: Generator, case: int, shape: Sequence[int], training: TrainingConfig) -> Patch:
    """A patch of a volume of this spatial shape: any of the allowed places and orientations.

    A patch with an axis less than the volume is one of its slices.
    """
    sliced = len(shape) > len(training.patch_size)
    shape, slices = (shape[:-1], shape[-1]) if sliced else (shape, 0)
    released = training.crop == "released"
    turns = int(rng.integers(4)) if training.rotate else 0
    size = tuple(training.patch_size)
    if turns % 2:
        size = (size[1], size[0], *size[2:])
    pads, places = released_places(shape, size) if released else all_places(shape, size)
    start = tuple(int(rng.integers(count)) - pad for count, pad in zip(places, pads, strict=True))
    if training.orientations == "all":
        flips = tuple(axis + 1 for axis in training.flip_axes if rng.integers(2))
    else:
        axes = training.flip_axes
        flips = (axes[int(rng.integers(len(axes)))] + 1,) if axes else ()
    if released:
        backwards = reversed_axes(turns, flips, len(size))
        start = tuple(s + back for s, back in zip(start, backwards, strict=True))
    place = int(rng.integers(slices)) if sliced else None
    return Patch(case, start, size, turns, flips, place, training.slices == "resized")


def all_places(shape: Sequence[int], size: Sequence[int]) -> tuple[list[int], list[int]]:
    """Voxels to pad before each axis, and in how many places a patch then fits: a volume smaller
    than the patch is padded to its size, as evenly as can be."""
    gaps = [want - have for have, want in zip(shape, size, strict=True)]
    return [max(gap, 0) // 2 for gap in gaps], [max(-gap, 0) + 1 for gap in gaps]


def released_places(shape: Sequence[int], size: Sequence[int]) -> tuple[list[int], list[int]]:
    """The same as in UA-MT's code, and all that came of it: if some axis is no longer than the
    patch, all are padded on both sides by half of what they lack, and three; and the last place is
    never taken."""
    gaps = [want - have for have, want in zip(shape, size, strict=True)]
    small = any(gap >= 0 for gap in gaps)
    pads = [max(gap // 2 + 3, 0) if small else 0 for gap in gaps]
    return pads, [2 * pad - gap for pad, gap in zip(pads, gaps, strict=True)]


def reversed_axes(turns: int, flips: Sequence[int], dimensions: int) -> list[bool]:
    """Which axes of the volume run backwards in a patch that is turned and then flipped: the code
    turns first, so that the place which it leaves out is the first of such an axis."""
    of_patch = [axis + 1 in flips for axis in range(dimensions)]
    first, second = (of_patch[1], of_patch[0]) if turns % 2 else of_patch[:2]
    return [first ^ (turns in (2, 3)), second ^ (turns in (1, 2)), *of_patch[2:]]


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
