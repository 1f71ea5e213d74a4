"""MixUp: convex combinations of two images and of their targets, with a random share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Beta


def random_shares(images: Tensor, alpha: float, count: int) -> Tensor:
    """Draws from Beta(alpha, alpha), on the device of the images, shaped to multiply them.

    Zhang et al., mixup, ICLR 2018: the smaller alpha, the closer to 0 or 1.

    Args:
        images: (N, C, *spatial).
        alpha: > 0.
        count: 1 for one share for the whole batch, N for one per image.

    Returns:
        (count, 1, ..., 1) in [0, 1], from torch's global generator.
    """
    both = torch.full((count, *(1,) * (images.ndim - 1)), alpha, device=images.device)
    # Checking the arguments would read them back from the device.
    shares: Tensor = Beta(both, both, validate_args=False).sample()
    return shares


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """share * first + (1 - share) * second."""
    return share * first + (1 - share) * second
