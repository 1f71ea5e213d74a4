"""Adversarial images: the change of the images that raises a loss the most."""

from __future__ import annotations

import torch
from torch import Tensor


def adversarial_images(images: Tensor, loss: Tensor, epsilon: float) -> Tensor:
    """Every voxel moved by epsilon in the direction in which the loss rises: one step of FGSM.

    Source: Goodfellow, Shlens, Szegedy, ICLR 2015. No parameter gets a gradient from this, and
    the graph of the loss remains for the step of the optimiser.

    Args:
        images: (N, C, *spatial), a leaf that requires a gradient.
        loss: scalar, computed from these images.
        epsilon: size of the step, in the images' own intensities.

    Returns:
        (N, C, *spatial), without gradient, not clipped; a voxel of zero gradient stays.
    """
    (gradient,) = torch.autograd.grad(loss, images, retain_graph=True)
    return images.detach() + epsilon * gradient.sign()


def unit(direction: Tensor) -> Tensor:
    """Each image's direction (N, ...) at length 1; shorter if it is not long beside 1e-8."""
    length = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.ndim - 1))
    return direction / (length + 1e-8)
