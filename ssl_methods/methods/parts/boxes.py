"""A box for each image, in which another image is seen: of CutMix, in two and three dimensions.

Boxes are drawn as fractions of the image's sides, from torch's global generator on the images' own
device. They select with ``torch.where(box, other, own)``: images, and what is guessed of them (and
with it label, confidence and any mask), alike.
"""

from __future__ import annotations

import torch
from torch import Tensor


def inside(images: Tensor, start: Tensor, side: Tensor) -> Tensor:
    """Where a voxel's centre lies in [start, start + side): bool, (N, 1, *spatial).

    Args:
        images: (N, C, *spatial) with D spatial axes.
        start, side: (N, D), fractions of the image's sides; what is outside the image is cut off.
    """
    within = torch.ones_like(images[:, :1], dtype=torch.bool)
    for axis, size in enumerate(images.shape[2:]):
        centers = (torch.arange(size, device=images.device) + 0.5) / size
        low, length = start[:, axis, None], side[:, axis, None]
        along = (centers >= low) & (centers < low + length)  # (N, size)
        shape = [1] * images.ndim
        shape[0], shape[axis + 2] = along.shape
        within &= along.reshape(shape)
    return within


def area_boxes(images: Tensor) -> Tensor:
    """For every second image, by chance, a box of 2 to 40 % of it with an aspect of 0.3 to 1/0.3.

    Share of the area (in 3D: volume) and aspect are uniform, and so is the place; no side is longer
    than the image's. In 3D the third side has the length that all would have in a cube.

    Source: `obtain_cutmix_box` of the UniMatch code, in 3D of the CrossMatch code.

    Args:
        images: (N, C, *spatial), two or three spatial axes.

    Returns:
        bool (N, 1, *spatial), False throughout where there is no box.
    """
    share, aspect = uniform(images, 0.02, 0.4), uniform(images, 0.3, 1 / 0.3)
    volumes = [share * aspect, share / aspect, share][: images.ndim - 2]
    side = torch.cat(volumes, 1).pow(1 / len(volumes)).clamp(max=1)
    return inside(images, (1 - side) * torch.rand_like(side), side * (uniform(images) < 0.5))


def beta_boxes(images: Tensor) -> Tensor:
    """A box for each image whose sides are sqrt(1 - b) of its own, one b of Beta(4, 4) for all.

    Each has a centre of its own, uniform from an eighth of a side on; what is outside is cut off.

    Source: `rand_bbox` and `rand_bbox_3d` of the AD-MT code.

    Args:
        images: (N, C, *spatial).

    Returns:
        bool (N, 1, *spatial).
    """
    b = torch.rand(7, device=images.device).sort().values[3]  # is Beta(4, 4)
    center = uniform(images, 1 / 8, 1, count=images.ndim - 2)
    side = (1 - b).sqrt().expand_as(center)
    return inside(images, center - side / 2, side)


def uniform(images: Tensor, low: float = 0.0, high: float = 1.0, count: int = 1) -> Tensor:
    """(N, count) numbers between low and high."""
    return low + (high - low) * torch.rand(len(images), count, device=images.device)
