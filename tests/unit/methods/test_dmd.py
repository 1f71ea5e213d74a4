"""DMD: the loss against its formula, where its gradient goes, and what its temperature is for."""

import pytest
import torch

from ssl_methods import losses, methods
from ssl_methods.config import MethodChoice, NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import step


def make(name="dmd", dropout=0.5, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=dropout)
    return methods.create(name, network=network, classes=2, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def dice(p, y):
    """Of each class, over all patches together; then their mean."""
    ratios = [2 * (p[:, k] * y[:, k]).sum() / (p[:, k] ** 2 + y[:, k] ** 2).sum() for k in (0, 1)]
    return 1 - sum(ratios) / 2


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_loss_against_the_formula(batch, temperature):
    method = make(temperature=temperature, dice_form="plain").eval()
    terms = method.loss(batch, Progress(0, 10))
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    z1, z2 = (network(images)[0] for network in (method.network, method.second))
    expected = dice(1 / (1 + (-z1 / temperature).exp()), 1 / (1 + (-z2 / temperature).exp()))
    torch.testing.assert_close(terms["distillation"].value, expected)
    assert terms["distillation"].weight == 4  # from the first iteration on
    supervised = sum(losses.dice(z[:2].sigmoid(), batch.labels, "plain") for z in (z1, z2))
    torch.testing.assert_close(terms["dice"].value, supervised)


def test_both_networks_learn_from_it_and_where_they_agree_neither_does(batch):
    method = make().eval()
    pair = [*method.network.parameters(), *method.second.parameters()]
    value = method.loss(batch, Progress(9, 10))["distillation"].value
    found = torch.autograd.grad(value, pair)
    half = len(found) // 2
    assert all(
        torch.cat([g.flatten() for g in gs]).norm() > 1e-3 for gs in (found[:half], found[half:])
    )
    method.second.load_state_dict(method.network.state_dict())
    value = method.loss(batch, Progress(9, 10))["distillation"].value
    agreed = torch.autograd.grad(value, pair)
    assert value < 1e-6 and max(float(g.abs().max()) for g in agreed) < 1e-6


def test_the_temperature_of_the_paper_depends_on_the_number_of_labels():
    choice = MethodChoice(method="dmd", recipe="as_released")
    found = [methods.resolve(choice, labeled=n).temperature for n in (None, 4, 8, 16, 80)]
    assert found == [2, 2, 2, 1.93, 1.93]
    assert methods.resolve(MethodChoice(method="dmd"), labeled=16).temperature == 2


def test_all_labeled_it_still_distils(batch):
    alone = Batch(batch.labeled_images, batch.labels, batch.unlabeled_images[:0])
    assert "distillation" in make().loss(alone, Progress(0, 10))


def test_without_weight_and_dropout_the_first_network_is_that_of_supervised(batch):
    pair, alone = make(weight=0.0, dropout=0.0), make("supervised", dropout=0.0)
    for method in (pair, alone):
        optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
        for t in range(4):
            step(optimizers, batch, Progress(t, 4))
    expected = alone.network.state_dict()
    for name, tensor in pair.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
