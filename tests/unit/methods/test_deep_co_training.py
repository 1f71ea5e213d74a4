"""Deep co-training: divergence, adversarial images and loss against independent restatements."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch.nn import functional

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.adversarial import adversarial_images
from ssl_methods.methods.parts.jensen_shannon import jensen_shannon

bce = functional.binary_cross_entropy_with_logits


def make(**settings):
    torch.manual_seed(0)
    return methods.create(
        "deep_co_training", network=NetworkConfig(width=2, levels=2), classes=2, **settings
    )


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_divergence_against_scipy_and_its_limits():
    g = torch.Generator().manual_seed(0)
    first, second = 3 * torch.randn(2, 50, generator=g, dtype=torch.float64)
    p, q = first.sigmoid().numpy(), second.sigmoid().numpy()
    expected = jensenshannon(np.stack([p, 1 - p]), np.stack([q, 1 - q])) ** 2
    assert float(jensen_shannon(first, second)) == pytest.approx(expected.mean(), rel=1e-5)
    assert jensen_shannon(first, first).abs() < 1e-6
    far = torch.tensor([1e4], requires_grad=True)
    value = jensen_shannon(far, -far)
    value.backward()
    assert float(value.detach()) == pytest.approx(math.log(2)) and far.grad.isfinite().all()


def test_adversarial_images_raise_the_loss_most_and_leave_no_gradient(batch):
    """Of a linear loss, among steps of at most epsilon in each voxel: sum |gradient| * epsilon."""
    layer = torch.nn.Conv3d(1, 1, 3)
    images = batch.labeled_images.clone().requires_grad_()
    found = adversarial_images(images, layer(images).mean(), 0.1)
    (slope,) = torch.autograd.grad(layer(images).mean(), images)
    rise = layer(found).mean() - layer(images).mean()
    torch.testing.assert_close(rise, 0.1 * slope.abs().sum(), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close((found - images).abs().max(), torch.tensor(0.1))
    assert layer.weight.grad is None and images.grad is None and not found.requires_grad


def test_loss_against_the_formulas(batch):
    method = make(epsilon=0.2, difference=0.3).eval()
    terms = method.loss(batch, Progress(9, 10))
    assert all(p.grad is None for p in method.parameters())
    images = torch.cat([batch.labeled_images, batch.unlabeled_images]).requires_grad_()
    pair = (method.network, method.second)
    z1, z2 = (network(images)[0] for network in pair)
    m = (z1[2:].sigmoid() + z2[2:].sigmoid()) / 2
    h = [
        torch.distributions.Bernoulli(p).entropy()
        for p in (m, *(z[2:].sigmoid() for z in (z1, z2)))
    ]
    torch.testing.assert_close(terms["agreement"].value, (h[0] - (h[1] + h[2]) / 2).mean())
    resisted = []
    for z, other in ((z1, pair[1]), (z2, pair[0])):
        own = bce(z[:2], batch.labels, reduction="sum")
        own = own + bce(z[2:], (z[2:] > 0).float(), reduction="sum")
        (slope,) = torch.autograd.grad(own, images, retain_graph=True)
        resisted.append(bce(other(images + 0.2 * slope.sign())[0], z.detach().sigmoid()))
    torch.testing.assert_close(terms["difference"].value, sum(resisted) / 2, rtol=1e-3, atol=1e-4)
    assert terms["difference"].weight == pytest.approx(0.3 * terms["agreement"].weight)


def test_resistance_moves_the_other_network_alone(batch):
    """The network that the adversary is made against, and is the target, gets no gradient."""
    method = make().eval()
    images = batch.labeled_images.clone().requires_grad_()
    (logits,) = method.network(images)
    method.resistance(logits, method.second, images, batch.labels).backward()
    assert all(p.grad is None for p in method.network.parameters())
    assert sum(p.grad.norm() for p in method.second.parameters() if p.grad is not None) > 0


def test_without_difference_there_is_no_such_term(batch):
    assert "difference" not in make(difference=0).loss(batch, Progress(9, 10))
