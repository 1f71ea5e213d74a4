"""Losses against MONAI, torch and closed forms."""

import pytest
import torch
from monai.losses import DiceLoss

from ssl_methods import losses


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(2, 3, 6, 7, 5, generator=generator)
    return p, (torch.rand(2, 3, 6, 7, 5, generator=generator) > 0.6).float()


@pytest.mark.parametrize(("form", "batch"), [("squared", True), ("plain", False)])
def test_dice_equals_monai(pair, form, batch):
    squared = form == "squared"
    monai = DiceLoss(squared_pred=squared, batch=batch, smooth_nr=1e-5, smooth_dr=1e-5)
    torch.testing.assert_close(losses.dice(*pair, form), monai(*pair))


@pytest.mark.parametrize("form", ["squared", "plain"])
def test_dice_end_points(pair, form):
    y = pair[1]
    assert losses.dice(y, y, form).item() == pytest.approx(0, abs=1e-6)
    assert losses.dice(1 - y, y, form).item() == pytest.approx(1, abs=1e-4)
    nothing = torch.zeros_like(y)
    assert losses.dice(nothing, nothing, form).item() == pytest.approx(0, abs=1e-6)


def test_cross_entropy_is_the_softmax_form_of_two_classes(pair):
    """The released code's two softmax channels give the loss of one sigmoid on their difference."""
    logits = torch.randn(2, 2, 6, 7, 5, generator=torch.Generator().manual_seed(1))
    y = pair[1][:, :1]
    two = torch.nn.functional.cross_entropy(logits, y[:, 0].long())
    torch.testing.assert_close(losses.cross_entropy(logits[:, 1:] - logits[:, :1], y), two)


def test_losses_are_float32_under_autocast(pair):
    p, y = pair
    with torch.autocast("cpu", torch.bfloat16):
        values = [
            losses.dice(p.bfloat16(), y),
            losses.cross_entropy(p.bfloat16(), y),
            losses.mean_squared(p.bfloat16(), y),
        ]
    assert {value.dtype for value in values} == {torch.float32}


@pytest.mark.parametrize("form", ["squared", "plain", "pooled"])
def test_dice_over_both_is_the_mean_of_classes_and_their_complements(form):
    p, y = torch.rand(2, 3, 4, 5), (torch.rand(2, 3, 4, 5) > 0.6).float()
    expected = (losses.dice(p, y, form) + losses.dice(1 - p, 1 - y, form)) / 2
    torch.testing.assert_close(losses.dice(p, y, form, "both"), expected)


def test_dice_pooled_has_plain_sums_over_all_patches():
    p, y = torch.rand(3, 1, 4, 5), (torch.rand(3, 1, 4, 5) > 0.6).float()
    expected = 1 - (2 * (p * y).sum() + 1e-5) / (p.sum() + y.sum() + 1e-5)
    torch.testing.assert_close(losses.dice(p, y, "pooled"), expected)


@pytest.mark.parametrize("form", ["squared", "plain", "pooled"])
@pytest.mark.parametrize("over", ["foreground", "both"])
def test_dice_of_a_region_is_that_of_the_voxels_cut_out(form, over):
    p, y = torch.rand(2, 1, 6, 4), (torch.rand(2, 1, 6, 4) > 0.6).float()
    region = torch.zeros(6, 4)
    region[:, :2] = 1
    found = losses.dice(p, y, form, over, region)
    torch.testing.assert_close(found, losses.dice(p[..., :2], y[..., :2], form, over))
