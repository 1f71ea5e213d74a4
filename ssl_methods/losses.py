"""Segmentation losses on foreground probabilities and logits; one channel per class, K >= 1.

Shapes: (N, K, *spatial). All are computed in float32 whatever the autocast. ``classes`` says
whether the classes exclude one another (ssl_methods/classes.py).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssl_methods.classes import INDEPENDENT, Classes

SMOOTH = 1e-5


def cross_entropy(logits: Tensor, target: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Mean cross-entropy; with K = 1 the softmax cross-entropy of two classes."""
    return cross_entropies(logits, target, classes).mean()


def cross_entropies(logits: Tensor, target: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Cross-entropy of each voxel, (N, K, *spatial), or (N, 1, *spatial) of exclusive classes."""
    if not classes.exclusive:
        return functional.binary_cross_entropy_with_logits(
            logits.float(), target.float(), reduction="none"
        )
    return -(classes.outcomes(target.float()) * classes.log_outcomes(logits)).sum(0)


def dice(
    probability: Tensor,
    target: Tensor,
    form: str = "squared",
    over: str = "foreground",
    region: Tensor | None = None,
    classes: Classes = INDEPENDENT,
) -> Tensor:
    """1 - soft Dice, averaged over classes.

    ``squared``: 1 - (2 Σpy + s) / (Σp² + Σy² + s) over all patches of a class together, as the
    released DTC, UA-MT and SASSNet code has it (Milletari et al., 3DV 2016, eq. 3). ``plain``:
    denominators Σp + Σy, each patch apart and then averaged, as the DTC paper writes it.
    ``pooled``: the same over all patches together (MC-Net code). s = 1e-5.

    ``over``: ``both`` averages over the background too, as the SSL4MIS code does: that of each
    class, or the one of exclusive classes. ``region`` (*spatial), or (N, V, *spatial) for each
    image and variable its own, of 0 and 1: where voxels count; everywhere by default.
    """
    p, y = probability.float(), target.float()
    if over == "both":
        p, y = classes.with_background(p), classes.with_background(y)
    if region is not None:
        if over == "both" and region.ndim == p.ndim and not classes.exclusive:
            region = torch.cat([region, region], 1)
        p, y = p * region, y * region
    axes = tuple(range(2, p.ndim)) if form == "plain" else (0, *range(2, p.ndim))
    total = (
        p.square().sum(axes) + y.square().sum(axes)
        if form == "squared"
        else p.sum(axes) + y.sum(axes)
    )
    return (1 - (2 * (p * y).sum(axes) + SMOOTH) / (total + SMOOTH)).mean()


def mean_squared(left: Tensor, right: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Mean of squared differences over all elements; 0 for empty tensors.

    Of probabilities of exclusive classes the background is one more element, as in the released
    codes, whose softmax has a channel for it.
    """
    left, right = left.float(), right.float()
    return classes.squares(left, right).mean() if left.numel() else left.sum()
