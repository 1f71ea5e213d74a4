"""DAN: both losses against the formulas, and who moves in which step."""

import pytest
import torch
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import step

TRAINING = TrainingConfig(learning_rate=0.05)


def make(name="dan", **settings):
    torch.manual_seed(0)
    return methods.create(name, network=NetworkConfig(width=2, levels=2), classes=2, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 16, 16, 16, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 16, 16, 16, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_both_losses_against_the_formulas(batch):
    method = make(weight=0.3, ramp="constant").eval()
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    with torch.no_grad():
        adversarial = method.loss(batch, Progress(0, 10))["adversarial"]
        error = method.discriminator_loss(batch, Progress(0, 10))["discriminator"]
        probability = method.discriminator(method.predict(images), images).softmax(1)
    labeled = probability[:, 1]
    torch.testing.assert_close(adversarial.value, -labeled[2:].log().mean())
    truth = torch.tensor([1.0, 1, 0, 0, 0])
    torch.testing.assert_close(error.value, functional.binary_cross_entropy(labeled, truth))
    assert (adversarial.weight, error.weight) == (0.3, 1)


def test_each_optimizer_moves_its_own_network(batch):
    method = make(weight=1.0, ramp="constant").train()
    network, discriminator = method.network, method.discriminator
    segmenting, judging = method.optimizers(TRAINING)
    adam = judging[0].param_groups[0]
    assert (adam["lr"], adam["betas"]) == (1e-4, (0.9, 0.99))

    def moved(pair):
        before = [parameters_to_vector(part.parameters()) for part in (network, discriminator)]
        step([pair], batch, Progress(0, 1))
        after = [parameters_to_vector(part.parameters()) for part in (network, discriminator)]
        return [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]

    assert moved(segmenting) == [True, False]
    assert moved(judging) == [False, True]


def test_without_unlabeled_images_the_discriminator_rests(batch):
    method = make().train()
    batch = Batch(batch.labeled_images, batch.labels, batch.unlabeled_images[:0])
    before = parameters_to_vector(method.discriminator.parameters())
    terms = step(method.optimizers(TRAINING), batch, Progress(0, 1))
    assert set(terms) == {"cross_entropy", "dice", "discriminator"}
    assert terms["discriminator"].value.isfinite()
    assert torch.equal(before, parameters_to_vector(method.discriminator.parameters()))


def test_weight_zero_is_supervised_step_for_step(batch):
    weights = []
    for method in (make(weight=0.0).train(), make("supervised").train()):
        optimizers = method.optimizers(TRAINING)
        assert len(optimizers) == 1
        torch.manual_seed(1)
        for t in range(3):
            step(optimizers, batch, Progress(t, 3))
        weights.append(parameters_to_vector(method.network.parameters()))
    assert torch.equal(*weights)
