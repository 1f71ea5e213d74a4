"""Segmentation losses on foreground probabilities and logits; one channel per class, K >= 1.

Shapes: (N, K, *spatial). All are computed in float32 whatever the autocast.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1e-5


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy per class channel; with K = 1 the softmax cross-entropy of two
    classes."""
    return functional.binary_cross_entropy_with_logits(logits.float(), target.float())


def dice(
    probability: Tensor,
    target: Tensor,
    form: str = "squared",
    over: str = "foreground",
    region: Tensor | None = None,
) -> Tensor:
    """1 - soft Dice, averaged over classes.

    ``squared``: 1 - (2 Σpy + s) / (Σp² + Σy² + s) over all patches of a class together, as the
    released DTC, UA-MT and SASSNet code has it (Milletari et al., 3DV 2016, eq. 3). ``plain``:
    denominators Σp + Σy, each patch apart and then averaged, as the DTC paper writes it.
    ``pooled``: the same over all patches together (MC-Net code). s = 1e-5.

    ``over``: ``both`` averages over the complement of each class too, as the SSL4MIS code does.
    ``region`` (*spatial), or (N, K, *spatial) for each image and class its own, of 0 and 1: where
    voxels count; everywhere by default.
    """
    p, y = probability.float(), target.float()
    if over == "both":
        p, y = with_background(p), with_background(y)
    if region is not None:
        if over == "both" and region.ndim == p.ndim:
            region = torch.cat([region, region], 1)
        p, y = p * region, y * region
    axes = tuple(range(2, p.ndim)) if form == "plain" else (0, *range(2, p.ndim))
    total = (
        p.square().sum(axes) + y.square().sum(axes)
        if form == "squared"
        else p.sum(axes) + y.sum(axes)
    )
    return (1 - (2 * (p * y).sum(axes) + SMOOTH) / (total + SMOOTH)).mean()


def with_background(foreground: Tensor) -> Tensor:
    """Each class (N, K, *spatial) in 0..1, then the complement of each: (N, 2 K, *spatial)."""
    return torch.cat([foreground, 1 - foreground], 1)


def mean_squared(left: Tensor, right: Tensor) -> Tensor:
    """Mean of squared differences over all elements; 0 for empty tensors."""
    return functional.mse_loss(left.float(), right.float()) if left.numel() else left.float().sum()
