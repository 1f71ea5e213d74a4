"""R-Drop: its divergence against torch.distributions, its two passes, and its limits."""

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence
from torch.nn.utils import parameters_to_vector

from ssl_methods import losses, methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.r_drop import symmetric_divergence
from ssl_methods.training.loop import step


def make(name="r_drop", dropout=0.5, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=dropout)
    return methods.create(name, network=network, classes=2, **settings).train()


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_divergence_equals_torch_distributions():
    left, right = 6 * torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    p, q = Bernoulli(logits=left.double()), Bernoulli(logits=right.double())
    expected = (kl_divergence(p, q) + kl_divergence(q, p)) / 2
    value = symmetric_divergence(left, right).double()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


def test_divergence_of_saturated_predictions_is_finite():
    left = torch.tensor([1e3, 1e3, -1e3], requires_grad=True)
    value = symmetric_divergence(left, torch.tensor([1e3, -1e3, 0.0]))
    torch.testing.assert_close(value.detach(), torch.tensor([0.0, 1000.0, 250.0]))
    value.sum().backward()
    assert left.grad.isfinite().all()


def test_terms_are_those_of_two_passes_with_different_dropout(batch):
    method = make(weight=3.0, ramp="constant")
    torch.manual_seed(1)
    terms = method.loss(batch, Progress(0, 10))
    images = torch.cat([batch.labeled_images, batch.unlabeled_images] * 2)
    torch.manual_seed(1)
    with torch.no_grad():
        first, second = method.network(images)[0].split(5)
    p, q = Bernoulli(logits=first), Bernoulli(logits=second)
    both = (kl_divergence(p, q) + kl_divergence(q, p)).mean() / 2
    assert both > 0
    torch.testing.assert_close(terms["consistency"].value.detach(), both, rtol=1e-4, atol=0)
    dice = [losses.dice(z[:2].sigmoid(), batch.labels) for z in (first, second)]
    torch.testing.assert_close(terms["dice"].value.detach(), sum(dice) / 2)
    entropy = [losses.cross_entropy(z[:2], batch.labels) for z in (first, second)]
    torch.testing.assert_close(terms["cross_entropy"].value.detach(), sum(entropy) / 2)
    assert {name: term.weight for name, term in terms.items()} == {
        "cross_entropy": 0.5,
        "dice": 0.5,
        "consistency": 3.0,
    }


def test_without_dropout_there_is_nothing_to_agree_on(batch):
    term = make(dropout=0.0).loss(batch, Progress(9, 10))["consistency"]
    assert term.value.item() == pytest.approx(0, abs=1e-10)


def test_weight_zero_is_supervised_step_for_step(batch):
    weights = []
    for method in (make(weight=0.0), make("supervised")):
        optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
        torch.manual_seed(1)
        for t in range(3):
            step(optimizers, batch, Progress(t, 3))
        weights.append(parameters_to_vector(method.network.parameters()))
    assert torch.equal(*weights)
