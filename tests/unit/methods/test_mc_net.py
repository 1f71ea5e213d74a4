"""MC-Net: the loss from its formulas, and whose gradient flows where."""

from itertools import permutations

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress


def make(**settings):
    torch.manual_seed(0)
    return methods.create("mc_net", network=NetworkConfig(width=2, levels=2), **settings).eval()


def make_batch(unlabeled=2):
    torch.manual_seed(1)
    images = torch.randn(2 + unlabeled, 1, 8, 8, 8)
    return Batch(images[:2], (torch.rand(2, 1, 8, 8, 8) > 0.7).float(), images[2:])


@pytest.mark.parametrize("decoders", [2, 3])
def test_loss_as_released(decoders):
    """Half the sum of the Dice losses, and every decoder against every other's sharpened output."""
    method = make(recipe="as_released", decoders=decoders, dice_weight=decoders / 2)
    batch = make_batch()
    terms = method.loss(batch, Progress(4000, 10_000))
    p = [
        z.sigmoid()
        for z in method.network(torch.cat([batch.labeled_images, batch.unlabeled_images]))
    ]
    assert len(p) == decoders
    y = batch.labels
    dice = [1 - (2 * (q[:2] * y).sum() + 1e-5) / (q[:2].sum() + y.sum() + 1e-5) for q in p]
    sharp = [q**10 / (q**10 + (1 - q) ** 10) for q in p]
    mutual = sum((p[i] - sharp[j]).square().mean() for i, j in permutations(range(decoders), 2))
    assert set(terms) == {"dice", "consistency"}
    torch.testing.assert_close(terms["dice"].weight * terms["dice"].value, 0.5 * sum(dice))
    torch.testing.assert_close(terms["consistency"].value, mutual)
    assert terms["consistency"].weight == 1  # after 0.4 of the run


def test_a_sharpened_prediction_is_a_target():
    """The gradient is that of the formula with sharpened predictions held constant."""
    method, batch = make(), make_batch(unlabeled=0)
    method.loss(batch, Progress(10, 10))["consistency"].value.backward()
    seen = method.network.decoders[0].heads[0].weight.grad.clone()
    method.zero_grad()
    first, second = (z.sigmoid() for z in method.network(batch.labeled_images))
    target = torch.special.expit(10 * torch.logit(second.detach()))
    (first - target).square().mean().backward()
    torch.testing.assert_close(seen, method.network.decoders[0].heads[0].weight.grad)


def test_the_first_decoder_predicts():
    method, image = make(), make_batch().labeled_images
    expected = method.network.decoders[0](method.network.encoder(image))[0].sigmoid()
    assert torch.equal(method.predict(image), expected)


def test_released_learning_rate_does_not_fall():
    released = methods.method_class("mc_net").Config.released_training(TrainingConfig())
    assert released.learning_rate_schedule == "constant"
