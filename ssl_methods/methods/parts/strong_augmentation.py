"""The strong view of an image: its intensities change at random, its geometry does not.

What is predicted for the image as it was holds for its strong view, voxel by voxel. The operations
are those that RandAugment and Cutout (as used by Sohn et al., FixMatch, NeurIPS 2020) have for grey
values; their ranges are chosen here. Everything is drawn from torch's global generator on the
images' own device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.methods.parts.boxes import inside


@torch.no_grad()
def strong(images: Tensor, strength: float) -> Tensor:
    """Gamma, contrast, brightness, noise, and a cuboid cut out.

    Args:
        images: (N, C, *spatial) in any units.
        strength: 0 (the images themselves) to 1.

    Returns:
        The strong views, same shape; each image and channel with changes of its own.
    """
    return cut_out(other_intensities(images, strength), strength)


@torch.no_grad()
def other_intensities(images: Tensor, strength: float) -> Tensor:
    """``strong`` without the cuboid: gamma, contrast, brightness and noise."""
    return add_noise(change_intensities(images, strength), strength)


def change_intensities(images: Tensor, strength: float) -> Tensor:
    """Gamma and contrast in 2^±strength, brightness by up to ±strength/4 of the image's range.

    Darker stays darker: a rising function of the intensity, another for each image and channel.
    """
    low, span = lowest_and_span(images)
    unit = (images - low) / span.clamp_min(torch.finfo(images.dtype).tiny)
    gamma, contrast = 2 ** (strength * signed(images)), 2 ** (strength * signed(images))
    curved = unit**gamma
    change = (curved - unit) + (contrast - 1) * (curved - curved.mean(space(images), keepdim=True))
    return images + span * (change + strength / 4 * signed(images))


def add_noise(images: Tensor, strength: float) -> Tensor:
    """Gaussian noise, its spread up to strength/10 of the image's range."""
    _, span = lowest_and_span(images)
    return images + span * strength / 10 * signed(images) * torch.randn_like(images)


def cut_out(images: Tensor, strength: float) -> Tensor:
    """One cuboid of each image, its sides up to strength/2 of the image's, takes the mean value."""
    sides, starts = [], []
    for _ in space(images):
        sides.append(strength / 2 * torch.rand(len(images), 1, device=images.device))
        starts.append((1 - sides[-1]) * torch.rand_like(sides[-1]))
    cuboid = inside(images, torch.cat(starts, 1), torch.cat(sides, 1))
    return torch.where(cuboid, images.mean(space(images), keepdim=True), images)


def signed(images: Tensor) -> Tensor:
    """One number per image and channel, uniform in [-1, 1]."""
    shape = (*images.shape[:2], *(1,) * (images.ndim - 2))
    return 2 * torch.rand(shape, device=images.device) - 1


def lowest_and_span(images: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest value and range of each image and channel."""
    low = images.amin(space(images), keepdim=True)
    return low, images.amax(space(images), keepdim=True) - low


def space(images: Tensor) -> tuple[int, ...]:
    """The spatial axes."""
    return tuple(range(2, images.ndim))
