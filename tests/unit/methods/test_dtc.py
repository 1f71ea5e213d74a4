"""DTC `as_released` against the released training step, restated from its formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.segmentation import find_boundaries
from torch.nn import functional

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Batch, Progress

LABELED, PATCH, T_MAX = 2, (32, 32, 16), 6000


def blobs(seed: int) -> np.ndarray:
    """Two labels with smooth, irregular contours; one touches the border of the patch."""
    noise = np.random.default_rng(seed).standard_normal((LABELED, *PATCH))
    smooth = ndimage.gaussian_filter(noise, (0, 4, 4, 3))
    return (smooth > np.quantile(smooth, 0.7)).astype(np.float32)


def batch_of(seed: int) -> Batch:
    torch.manual_seed(seed)
    labels = blobs(seed)
    return Batch(
        labeled_images=torch.randn(LABELED, 1, *PATCH),
        labels=torch.from_numpy(labels)[:, None],
        unlabeled_images=torch.randn(2, 1, *PATCH),
        level_sets=torch.from_numpy(np.stack([signed_distance(mask) for mask in labels]))[:, None],
    )


def released_distance(mask: np.ndarray) -> np.ndarray:
    """Each side's distance less its minimum over its range; 0 on the inner boundary."""
    inside, outside = mask.astype(bool), ~mask.astype(bool)
    inner, outer = (ndimage.distance_transform_edt(side) for side in (inside, outside))
    scaled = (outer - outer.min()) / np.ptp(outer) - (inner - inner.min()) / np.ptp(inner)
    scaled[find_boundaries(inside, mode="inner")] = 0
    return scaled


def released_loss(network: torch.nn.Module, batch: Batch, iteration: int) -> torch.Tensor:
    """One step: Dice of squared denominators over all labeled voxels, plus 0.3 times the error of
    the level set, plus the consistency of all four patches with the weight of its 150 iterations.
    """
    segmentation, level_set = network(torch.cat([batch.labeled_images, batch.unlabeled_images]))
    level_set, probability = level_set.tanh(), segmentation.sigmoid()
    known, label = probability[:LABELED, 0], batch.labels[:, 0]
    common = (known * label).sum()
    dice = 1 - (2 * common + 1e-5) / ((known * known).sum() + (label * label).sum() + 1e-5)
    distance = np.stack([released_distance(mask) for mask in label.numpy()])
    regression = functional.mse_loss(
        level_set[:LABELED, 0], torch.from_numpy(distance).to(level_set.dtype)
    )
    agreement = ((torch.sigmoid(-1500 * level_set) - probability) ** 2).mean()
    epoch = iteration // 150
    weight = math.exp(-5 * (1 - min(epoch, 40) / 40) ** 2)
    return dice + 0.3 * regression + weight * agreement


@pytest.mark.parametrize("iteration", [0, 149, 150, 2999, 5999])
def test_loss_and_gradients_of_the_released_step(iteration):
    batch = batch_of(iteration)

    network = NetworkConfig(width=4, levels=4, dropout=0.0)
    torch.manual_seed(1)
    method = methods.create("dtc", recipe="as_released", network=network)

    terms = method.loss(batch, Progress(iteration, T_MAX))
    ours = sum(term.weight * term.value for term in terms.values())
    ours.backward()
    gradients = [parameter.grad.clone() for parameter in method.parameters()]
    method.zero_grad()
    theirs = released_loss(method.network, batch, iteration)
    theirs.backward()

    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    whole = torch.cat([parameter.grad.flatten() for parameter in method.parameters()]).norm()
    for gradient, parameter in zip(gradients, method.parameters(), strict=True):
        # A bias before a batch norm has no gradient but rounding: weights alone, one by one.
        size = parameter.grad.norm() if parameter.ndim > 1 else whole
        assert (gradient - parameter.grad).norm() <= 1e-5 * size
