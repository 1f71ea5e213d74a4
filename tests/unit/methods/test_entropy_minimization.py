"""Entropy minimisation against SciPy's entropy, and its limit cases."""

import math

import pytest
import torch
from scipy.special import expit
from scipy.stats import bernoulli

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.entropy_minimization import entropy
from ssl_methods.training.loop import step


def make(name="entropy_minimization", **settings):
    torch.manual_seed(0)
    return methods.create(name, network=NetworkConfig(width=2, levels=2), classes=2, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_entropy_equals_scipy_and_has_the_closed_gradient():
    z = torch.linspace(-12, 12, 97, requires_grad=True)
    value = math.log(2) * entropy(z)
    expected = torch.from_numpy(bernoulli(expit(z.detach().double().numpy())).entropy())
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)
    value.sum().backward()
    torch.testing.assert_close(z.grad, (-z * z.sigmoid() * (-z).sigmoid()).detach())


def test_saturated_predictions_are_certain_and_finite():
    z = torch.tensor([-1e4, -90.0, 90.0, 1e4], requires_grad=True)
    value = entropy(z)
    value.sum().backward()
    assert (value >= 0).all() and value.max() < 1e-30
    assert z.grad.abs().max() < 1e-30


def test_term_is_the_mean_over_labeled_and_unlabeled_images(batch):
    method = make(weight=0.3, ramp="constant").eval()
    term = method.loss(batch, Progress(0, 10))["entropy"]
    with torch.no_grad():
        p = method.predict(torch.cat([batch.labeled_images, batch.unlabeled_images]))
    expected = bernoulli(p.double().numpy()).entropy().mean() / math.log(2)
    assert term.value.item() == pytest.approx(expected, rel=1e-5)
    assert term.weight == 0.3


def test_an_undecided_network_has_entropy_one(batch):
    method = make()
    for parameter in method.network.parameters():
        torch.nn.init.zeros_(parameter)
    assert method.loss(batch, Progress(0, 10))["entropy"].value.item() == pytest.approx(1)


def test_weight_zero_is_supervised_step_for_step(batch):
    weights = []
    for method in (make(weight=0.0).train(), make("supervised").train()):
        optimizer = torch.optim.SGD(method.parameters(), lr=0.05)
        torch.manual_seed(1)
        for t in range(3):
            step([(optimizer, method.loss)], batch, Progress(t, 3))
        weights.append(torch.nn.utils.parameters_to_vector(method.network.parameters()))
    assert torch.equal(*weights)
