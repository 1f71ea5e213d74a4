"""What is averaged over confident voxels alone, and the modes of a network."""

import numpy as np
import pytest
import torch
from torch import nn

from ssl_methods import losses
from ssl_methods.classes import INDEPENDENT
from ssl_methods.config import MethodConfig
from ssl_methods.methods.parts.confident import confident_dice, mean_over
from ssl_methods.methods.parts.modes import evaluating


def test_mean_over_kept_elements_and_its_gradient():
    values = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    kept = torch.rand(2, 1, 4) > 0.5
    found = mean_over(values, kept)
    chosen = values.detach().numpy()[np.broadcast_to(kept.numpy(), values.shape)]
    assert found.item() == pytest.approx(chosen.mean())
    (gradient,) = torch.autograd.grad(found, values)
    torch.testing.assert_close(gradient, kept.expand_as(values).double() / len(chosen))


def test_nothing_kept_is_zero_and_learns_nothing():
    logits = torch.randn(2, 2, 5, 5, requires_grad=True)
    nothing = torch.zeros(2, 2, 5, 5, dtype=torch.bool)
    unsure = torch.full((2, 2, 5, 5), 0.6)
    for value in (
        mean_over(logits, nothing),
        confident_dice(MethodConfig(), logits, unsure, 0.9),
    ):
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.item() == 0 and not gradient.any()


@pytest.mark.parametrize("form", ["squared", "plain", "pooled"])
def test_dice_against_loops_over_kept_voxels(form):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    guess = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    p, q, kept = logits.sigmoid(), guess, (guess >= 0.8) | (guess <= 0.2)
    assert torch.equal(INDEPENDENT.sureness(guess) >= 0.8, kept)
    values = []
    for k in range(3):
        for flip in (False, True):
            parts = [([0], [1]), ([0, 1],)][form != "plain"]
            for images in parts:
                mask = kept[images, k]
                a, b = p[images, k][mask], (q[images, k][mask] > 0.5).double()
                a, b = (1 - a, 1 - b) if flip else (a, b)
                sizes = (a**2 + b**2).sum() if form == "squared" else (a + b).sum()
                values.append(1 - (2 * (a * b).sum() + 1e-5) / (sizes + 1e-5))
    found = confident_dice(MethodConfig(dice_form=form), logits, guess, 0.8)
    torch.testing.assert_close(found.double(), sum(values) / len(values), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("over", ["foreground", "both"])
def test_a_region_of_each_image_and_class_is_that_of_the_space_where_they_are_equal(over):
    p, y = torch.rand(2, 3, 4, 4), (torch.rand(2, 3, 4, 4) > 0.5).float()
    region = (torch.rand(4, 4) > 0.5).float()
    shared = losses.dice(p, y, "squared", over, region)
    torch.testing.assert_close(losses.dice(p, y, "squared", over, region.expand_as(p)), shared)


def test_each_module_is_in_its_own_mode_again():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    network[0].eval()
    with pytest.raises(ZeroDivisionError), evaluating(network):
        assert not any(module.training for module in network.modules())
        raise ZeroDivisionError
    assert [module.training for module in network.modules()] == [True, False, True]
