"""Boxes of CutMix: which voxels they hold, and how their sizes and places are distributed."""

import numpy as np
import pytest
import scipy.stats
import torch

from ssl_methods.methods.parts import boxes


def test_inside_holds_the_voxels_whose_centre_it_holds():
    start = torch.tensor([[0.1, 0.5, -0.3], [0.0, 0.24, 0.9]])
    side = torch.tensor([[0.35, 0.2, 0.6], [1.0, 0.02, 0.5]])
    found = boxes.inside(torch.zeros(2, 3, 7, 5, 4), start, side)
    assert found.shape == (2, 1, 7, 5, 4) and found.dtype == torch.bool
    for n, i, j, k in np.ndindex(2, 7, 5, 4):
        place = (np.array([i, j, k]) + 0.5) / [7, 5, 4]
        low = start[n].numpy()
        assert found[n, 0, i, j, k] == ((place >= low) & (place < low + side[n].numpy())).all()
    assert found[0].any() and not found[1].any()


def drawn(monkeypatch, rule, images):
    """Starts and sides as the rule draws them."""
    seen = {}
    monkeypatch.setattr(boxes, "inside", lambda x, start, side: seen.update(start=start, side=side))
    rule(images)
    return seen["start"].double().numpy(), seen["side"].double().numpy()


def uniform(values, low=0.0, high=1.0):
    return scipy.stats.kstest(values, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(9, 9), (6, 8, 4)])
def test_areas_aspects_and_places(monkeypatch, shape):
    torch.manual_seed(0)
    start, side = drawn(monkeypatch, boxes.area_boxes, torch.zeros(20_000, 1, *shape))
    there = side.any(1)
    assert there.mean() == pytest.approx(0.5, abs=0.02) and not side[~there].any()
    start, side = start[there], side[there]
    assert (start >= 0).all() and (start + side <= 1 + 1e-6).all()
    whole = (side < 1).all(1)
    ratio = side[:, 0] / side[:, 1]
    aspect = ratio ** (len(shape) / 2)
    fits = (aspect > 0.5) & (aspect < 2)  # longer boxes of large areas end at the image's sides
    assert uniform(aspect[fits], 0.5, 2)
    assert aspect.min() < 0.31 and aspect.max() > 3.2
    area = side.prod(1) if len(shape) == 2 else side[:, 2] ** 3
    assert uniform(area[fits], 0.02, 0.4)
    for axis in range(len(shape)):
        assert uniform((start / (1 - side).clip(1e-9))[whole][:, axis])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_beta_for_the_sides_of_all_and_a_centre_for_each(monkeypatch, dimensions):
    torch.manual_seed(0)
    images, shares = torch.zeros(2, 1, *(5,) * dimensions), []
    centers = []
    for _ in range(1500):
        start, side = drawn(monkeypatch, boxes.beta_boxes, images)
        assert np.ptp(side) == 0
        shares.append(1 - side[0, 0] ** 2)
        centers.append(start + side / 2)
    assert scipy.stats.kstest(shares, scipy.stats.beta(4, 4).cdf).pvalue > 1e-3
    centers = np.stack(centers)
    for n, axis in np.ndindex(centers.shape[1:]):
        assert uniform(centers[:, n, axis], 1 / 8, 1)
    assert abs(np.corrcoef(centers[:, 0, 0], centers[:, 1, 0])[0, 1]) < 0.1


@pytest.mark.parametrize("rule", [boxes.area_boxes, boxes.beta_boxes])
def test_a_box_is_the_same_for_all_channels_and_not_for_all_images(rule):
    torch.manual_seed(0)
    found = rule(torch.zeros(40, 3, 12, 10))
    assert found.shape == (40, 1, 12, 10) and found.dtype == torch.bool
    assert len({tuple(box.flatten().tolist()) for box in found}) > 10
    for box in found:  # a box, and nothing else
        rows, columns = np.nonzero(box[0].numpy())
        extent = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else 0
        assert extent == len(rows)
