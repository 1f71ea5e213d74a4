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
