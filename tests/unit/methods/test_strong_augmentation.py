"""The strong view: what it may change, and what not."""

import pytest
import scipy.stats
import torch

from ssl_methods.methods.parts.strong_augmentation import (
    add_noise,
    change_intensities,
    cut_out,
    strong,
)


def images(*shape, seed=0):
    return 100 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 40


@pytest.mark.parametrize("shape", [(3, 2, 12, 10), (3, 1, 8, 12, 10)])
def test_strength_zero_is_the_identity(shape):
    torch.testing.assert_close(strong(images(*shape), 0.0), images(*shape), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(2, 2, 12, 10), (2, 1, 8, 12, 10)])
def test_changes_every_image_in_its_own_way_and_repeatably(shape):
    same = images(1, *shape[1:]).expand(shape)
    torch.manual_seed(0)
    first = strong(same, 1.0)
    torch.manual_seed(0)
    assert torch.equal(first, strong(same, 1.0))
    assert first.shape == same.shape and first.dtype == torch.float32
    assert first.isfinite().all()
    changed = (first - same).abs().mean() / (same.max() - same.min())
    assert changed > 0.01
    assert (first[0] - first[1]).abs().mean() > 0.01 * (same.max() - same.min())


def test_change_of_intensities_keeps_their_order():
    torch.manual_seed(0)
    before = images(20, 2, 12, 12)
    after = change_intensities(before, 1.0)
    for image in range(20):
        for channel in range(2):
            pair = before[image, channel].flatten(), after[image, channel].flatten()
            assert scipy.stats.kendalltau(*pair).statistic > 0.999


def test_does_not_depend_on_the_units():
    torch.manual_seed(0)
    plain = strong(images(2, 1, 12, 12), 1.0)
    torch.manual_seed(0)
    other = strong(images(2, 1, 12, 12) * 0.01 - 3, 1.0)
    torch.testing.assert_close(other, plain * 0.01 - 3, rtol=1e-4, atol=1e-4)


def test_constant_images_stay():
    constant = torch.full((2, 1, 8, 8, 8), -3.0)
    torch.testing.assert_close(strong(constant, 1.0), constant)


def test_noise_is_as_large_as_stated():
    torch.manual_seed(0)
    before = images(200, 1, 16, 16)
    ratio = (add_noise(before, 0.5) - before).std((1, 2, 3))
    ratio = ratio / (before.amax((1, 2, 3)) - before.amin((1, 2, 3)))
    assert 0.045 < ratio.max() < 0.06
    assert ratio.mean().item() == pytest.approx(0.025, rel=0.2)


def test_cut_out_is_one_cuboid_of_the_mean_value():
    torch.manual_seed(0)
    before = images(30, 2, 16, 12, 8)
    after = cut_out(before, 1.0)
    sizes = []
    for old, new in zip(before, after, strict=True):
        changed = (old != new).any(0)
        assert torch.equal(changed, (old != new).all(0))  # the same place in all channels
        if not changed.any():
            continue
        where = changed.nonzero()
        low, high = where.amin(0), where.amax(0) + 1
        assert len(where) == (high - low).prod()  # full, hence a cuboid
        assert ((high - low) <= torch.tensor([16, 12, 8]) // 2 + 1).all()
        for channel in range(2):
            inside = new[channel][changed]
            torch.testing.assert_close(inside, old[channel].mean().expand_as(inside))
        sizes.append(len(where))
    assert len(set(sizes)) > 5
