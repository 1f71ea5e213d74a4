"""Masks as large as a left atrium and predictions that miss it in several ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
SHAPE = (180, 140, 88)
SPACING = (0.625, 0.625, 0.625)  # mm
HARD = ("noise", "everything")  # no network predicts these


def atrium(seed: int = 0) -> Mask:
    """A rough ellipsoid of about 160,000 voxels in a box of about 150 x 85 x 58."""
    rough = _field(seed, 5.0)
    axes = np.meshgrid(*[np.arange(size) - size / 2 for size in SHAPE], indexing="ij")
    radius = sum((axis / half) ** 2 for axis, half in zip(axes, (70, 36, 25), strict=True))
    mask: Mask = np.sqrt(radius) + 0.07 * rough < 1
    return mask


def predictions(mask: Mask) -> dict[str, Mask]:
    """By name of what is wrong with them: all that is near, some far voxels, or noise."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 2)
    rough = soft + 0.15 * _field(1, 4.0) * (ndimage.binary_dilation(mask, iterations=9)) > 0.5
    islands = rough.copy()
    for x, y, z in ((8, 8, 8), (165, 120, 70), (20, 110, 12), (150, 20, 75)):
        islands[x : x + 7, y : y + 7, z : z + 7] = True
    return {
        "rough": rough,
        "eroded": ndimage.binary_erosion(mask, iterations=2),
        "shifted": np.roll(mask, (3, -2, 1), (0, 1, 2)),
        "rough and islands": islands,
        "noise": np.random.default_rng(2).random(SHAPE) < 0.5,
        "everything": np.ones(SHAPE, bool),
    }


def _field(seed: int, width: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance."""
    noise = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(noise, width)
    return smooth / smooth.std()
