"""CPS: the loss against its formula, and each network trained as it would be alone."""

import pytest
import torch
from torch.nn import functional

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import step


def make(name="cps", dropout=0.5, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=dropout)
    return methods.create(name, network=network, classes=2, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_loss_against_the_formula(batch):
    method = make(dice_weight=0.0, ce_weight=1.0).eval()
    terms = method.loss(batch, Progress(5, 10))
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    p1, p2 = (network(images)[0].sigmoid() for network in (method.network, method.second))
    bce = functional.binary_cross_entropy
    supervised = bce(p1[:2], batch.labels) + bce(p2[:2], batch.labels)
    u1, u2 = p1[2:], p2[2:]
    crossed = bce(u1, (u2 > 0.5).float()) + bce(u2, (u1 > 0.5).float())
    torch.testing.assert_close(terms["cross_entropy"].value, supervised)
    torch.testing.assert_close(terms["cross_supervision"].value, crossed)
    assert terms["cross_supervision"].weight == pytest.approx(0.1 * 0.2865048)  # exp(-5 / 4)


def test_each_network_learns_from_the_labels_of_the_other_and_gives_none_of_its_gradient(batch):
    """The gradient of network 1 is that of its own cross-entropy to fixed labels."""
    method = make().eval()
    method.loss(batch, Progress(9, 10))["cross_supervision"].value.backward()
    weight = next(method.network.parameters())
    (logits,), (other,) = (
        method.network(batch.unlabeled_images),
        method.second(batch.unlabeled_images),
    )
    own = functional.binary_cross_entropy_with_logits(logits, (other.detach() > 0).float())
    (expected,) = torch.autograd.grad(own, weight)
    assert expected.norm() > 0
    torch.testing.assert_close(weight.grad, expected)


def test_without_weight_and_dropout_the_first_network_is_that_of_supervised(batch):
    """Sums, not averages: step for step, bit for bit."""
    pair, alone = make(weight=0.0, dropout=0.0), make("supervised", dropout=0.0)
    assert not torch.equal(next(pair.network.parameters()), next(pair.second.parameters()))
    for method in (pair, alone):
        optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
        for t in range(4):
            step(optimizers, batch, Progress(t, 4))
    expected = alone.network.state_dict()
    for name, tensor in pair.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
