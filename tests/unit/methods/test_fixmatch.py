"""FixMatch: which voxels enter, as which class, and how they are averaged."""

import math

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import MethodChoice, NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.fixmatch import pseudo_label_loss


def test_unsure_voxels_are_ignored_and_not_turned_into_background():
    """Voxels by hand: sure foreground, sure background, unsure, unsure; the mean is over four."""
    weak = torch.tensor([0.96, 0.04, 0.94, 0.06]).logit()
    strong = torch.tensor([0.3, 0.2, 0.7, 0.9]).logit().requires_grad_()
    value = pseudo_label_loss(strong, weak, 0.95)
    assert value.item() == pytest.approx(-(math.log(0.3) + math.log(0.8)) / 4, rel=1e-5)
    value.backward()
    np.testing.assert_allclose(strong.grad, np.array([0.3 - 1, 0.2, 0, 0]) / 4, rtol=1e-5)


def test_saturated_logits_stay_finite():
    ends = torch.tensor([-500.0, 500.0])
    assert pseudo_label_loss(-ends, ends, 0.95).item() == pytest.approx(500)


def test_weak_view_teaches_the_strong_one_and_learns_nothing():
    """Strength 0 makes both views the same: the loss is then the sure voxels' own cross-entropy."""
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0)
    method = methods.create(
        "fixmatch", network=network, classes=3, dimensions=2, strength=0.0, confidence=0.6
    ).eval()
    images = torch.randn(4, 1, 8, 8)
    labels = (torch.rand(2, 3, 8, 8) > 0.7).float()
    value = method.loss(Batch(images[:2], labels, images[2:]), Progress(3, 10))["pseudo_label"]
    value.value.backward()
    found = [p.grad.clone() for p in method.network.parameters() if p.grad is not None]
    method.zero_grad()
    p = method.predict(images[2:])
    likelier = torch.maximum(p, 1 - p)
    sure = likelier.detach() >= 0.6
    assert 0.05 < sure.float().mean() < 0.95
    expected = -(sure * likelier.log()).mean()
    torch.testing.assert_close(value.value, expected)
    expected.backward()
    own = [p.grad for p in method.network.parameters() if p.grad is not None]
    for left, right in zip(found, own, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-6)


def test_released_prediction_is_that_of_averaged_weights():
    """w' = 0.999 w' + 0.001 w from the second step on, with the newest batch statistics."""
    torch.manual_seed(0)
    method = methods.create(
        "fixmatch", recipe="as_released", network=NetworkConfig(width=2, levels=2)
    )
    average = {}
    for t in range(4):
        with torch.no_grad():
            for parameter in method.network.parameters():
                parameter += torch.randn_like(parameter)
        method.after_step(Progress(t, 4))
        for name, parameter in method.network.named_parameters():
            now, before = parameter.detach().double(), average.get(name)
            average[name] = now if before is None else 0.999 * before + 0.001 * now
    expected = methods.create("supervised", network=NetworkConfig(width=2, levels=2)).eval()
    expected.network.load_state_dict(method.network.state_dict() | average)
    image = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        found = method.eval().predict(image)
        torch.testing.assert_close(found, expected.predict(image), rtol=0, atol=1e-3)
        assert not torch.allclose(found, method.network(image)[0].sigmoid(), atol=0.05)


def test_released_threshold_is_that_of_the_rescaled_probability():
    """SSL4MIS: (p - min) / max > 0.8."""
    config = methods.resolve(MethodChoice(method="fixmatch", recipe="as_released"))
    p = torch.linspace(0.5, 1, 2001, dtype=torch.float64)
    assert torch.equal((p - (1 - p)) / p > 0.8, p > config.confidence)
