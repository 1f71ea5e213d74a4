"""SASSNet: both losses against the formulas, and its limit `sdf_multitask`."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import step, weighted_sum

TRAINING = TrainingConfig(learning_rate=0.05)


def make(name="sassnet", classes=1, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2)
    return methods.create(name, network=network, classes=classes, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, 16, 16, 16, generator=g) > 0.7).float()
    images = torch.randn(4, 1, 16, 16, 16, generator=g)
    level_sets = 1 - 2 * labels * torch.rand(labels.shape, generator=g)
    return Batch(images[:2], labels, images[2:], level_sets)


def test_released_step_against_the_formulas(batch):
    method = make(recipe="as_released").eval()
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    progress = Progress(150 * 7 + 3, 6000)
    with torch.no_grad():
        terms = method.loss(batch, progress)
        error = method.discriminator_loss(batch, progress)["discriminator"].value
        logits, raw = method.network(images)
        s, p, y = torch.tanh(raw), torch.sigmoid(logits[:2]), batch.labels
        logits = method.discriminator(s, images)
    dice = 1 - (2 * (p * y).sum() + 1e-5) / ((p**2).sum() + (y**2).sum() + 1e-5)
    level_set = ((s[:2] - batch.level_sets) ** 2).mean()
    adversarial = -logits.log_softmax(1)[2:, 1].mean()
    lam = 0.01 * math.exp(-5 * (1 - 7 / 40) ** 2)
    torch.testing.assert_close(weighted_sum(terms), dice + 0.3 * level_set + lam * adversarial)
    assert set(terms) == {"dice", "level_set", "adversarial"}
    truth = torch.tensor([1, 1, 0, 0])
    torch.testing.assert_close(error, functional.cross_entropy(logits, truth))
    assert method.discriminator.of_map.out_channels == 64


def test_each_optimizer_moves_its_own_network(batch):
    method = make(weight=1.0, ramp="constant").train()
    network, discriminator = method.network, method.discriminator

    def moved(pair):
        before = [parameters_to_vector(part.parameters()) for part in (network, discriminator)]
        step([pair], batch, Progress(0, 1))
        after = [parameters_to_vector(part.parameters()) for part in (network, discriminator)]
        return [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]

    segmenting, judging = method.optimizers(TRAINING)
    assert moved(segmenting) == [True, False]
    assert moved(judging) == [False, True]


def test_the_adversary_reaches_the_level_set_head_alone(batch):
    """The discriminator sees the level set: the segmentation head learns nothing from it."""
    method = make()
    method.loss(batch, Progress(9, 10))["adversarial"].value.backward()
    segmentation, level_set = method.network.decoders[0].heads
    assert segmentation.weight.grad is None or not segmentation.weight.grad.any()
    assert level_set.weight.grad.any()


@pytest.mark.parametrize("recipe", ["unified", "as_released"])
def test_weight_zero_is_sdf_multitask_step_for_step(batch, recipe):
    weights = []
    for name, settings in (("sassnet", {"weight": 0.0}), ("sdf_multitask", {})):
        method = make(name, recipe=recipe, **settings).train()
        optimizers = method.optimizers(TRAINING)
        assert len(optimizers) == 1
        torch.manual_seed(1)
        for t in range(3):
            step(optimizers, batch, Progress(t, 3))
        weights.append(parameters_to_vector(method.network.parameters()))
    assert torch.equal(*weights)
