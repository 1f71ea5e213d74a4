"""URPC: the consistency against NumPy and scipy, where it vanishes, and where it stays finite."""

import numpy as np
import pytest
import torch
from scipy.special import expit, rel_entr

from ssl_methods import losses, methods
from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.urpc import rectified_consistency


def make(**settings):
    torch.manual_seed(0)
    return methods.create(
        "urpc", network=NetworkConfig(width=2, levels=5), dimensions=2, **settings
    )


def make_batch(unlabeled=2):
    torch.manual_seed(1)
    images = torch.randn(2 + unlabeled, 1, 16, 16)
    return Batch(images[:2], (torch.rand(2, 1, 16, 16) > 0.7).float(), images[2:])


def test_loss_against_the_formulas():
    method, batch = make().eval(), make_batch()
    with torch.no_grad():
        terms = method.loss(batch, Progress(10, 10))
        scales = method.network(torch.cat([batch.labeled_images, batch.unlabeled_images]))
    assert len(scales) == 4
    p = expit(torch.stack(scales)[:, 2:].numpy().astype(np.float64))
    mean, values = p.mean(0), []
    for p_s in p:
        kl = rel_entr(mean, p_s) + rel_entr(1 - mean, 1 - p_s)
        trust = np.exp(-kl)
        values.append((trust * (mean - p_s) ** 2).mean() / trust.mean() + kl.mean())
    assert terms["consistency"].value.item() == pytest.approx(np.mean(values), rel=1e-4)
    dice = [losses.dice(z[:2].sigmoid(), batch.labels) for z in scales]
    torch.testing.assert_close(terms["dice"].value, sum(dice) / 4)


def test_scales_that_agree_have_no_loss():
    logits = torch.randn(1, 2, 1, 4, 4).expand(3, -1, -1, -1, -1)
    assert rectified_consistency(logits).item() == pytest.approx(0, abs=1e-6)


def test_saturated_predictions_have_a_finite_loss_and_gradient():
    logits = torch.tensor([-500.0, 500.0, -90.0]).reshape(3, 1, 1, 1).repeat(1, 1, 1, 8)
    logits.requires_grad_()
    value = rectified_consistency(logits)
    value.backward()
    assert value.isfinite() and value > 1 and logits.grad.isfinite().all()


def test_too_few_levels_are_refused():
    with pytest.raises(UserError, match=r"raise network\.levels"):
        methods.create("urpc", network=NetworkConfig(levels=4))
