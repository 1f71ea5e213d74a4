"""ICT against its formula, and its shares against the Beta distribution."""

import numpy as np
import scipy.stats
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.mixup import mix, random_shares


def make(**settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2)
    return methods.create("ict", network=network, dimensions=2, **settings)


def make_batch(unlabeled):
    torch.manual_seed(1)
    labels = (torch.rand(2, 1, 8, 8) > 0.7).float()
    return Batch(torch.randn(2, 1, 8, 8), labels, torch.randn(unlabeled, 1, 8, 8))


def test_loss_on_a_fixed_batch():
    method, batch = make().eval(), make_batch(3)
    for parameter in method.teacher.parameters():
        parameter.mul_(2)
    torch.manual_seed(5)
    with torch.no_grad():
        value = method.loss(batch, Progress(3, 10))["consistency"].value
        torch.manual_seed(5)
        s = random_shares(batch.unlabeled_images, 0.2, 1)
        images = list(batch.unlabeled_images.split(1))
        squares = []
        for u, v in zip(images, [images[2], images[0], images[1]], strict=True):
            answers = [method.teacher(x)[0].sigmoid() for x in (u, v)]
            student = method.predict(s * u + (1 - s) * v)
            squares.append((student - (s * answers[0] + (1 - s) * answers[1])) ** 2)
    torch.testing.assert_close(value, torch.cat(squares).mean())


def test_one_unlabeled_image_is_mixed_with_itself():
    """Then the student is asked for the teacher's own answer: at the start they are the same."""
    with torch.no_grad():
        value = make().eval().loss(make_batch(1), Progress(3, 10))["consistency"].value
    assert value < 1e-12


def test_shares_are_of_the_beta_distribution_and_repeatable():
    images = torch.zeros(4000, 1, 2, 2)
    torch.manual_seed(3)
    shares = random_shares(images, 0.2, len(images))
    torch.manual_seed(3)
    assert torch.equal(shares, random_shares(images, 0.2, len(images)))
    assert shares.shape == (4000, 1, 1, 1)
    cdf = scipy.stats.beta(0.2, 0.2).cdf
    assert scipy.stats.kstest(shares.flatten().double().numpy(), cdf).pvalue > 1e-3


def test_mix_weighs_each_image_by_its_own_share():
    mixed = mix(torch.ones(2, 1, 3), torch.zeros(2, 1, 3), torch.tensor([0.25, 1.0]).view(2, 1, 1))
    np.testing.assert_array_equal(mixed[:, 0], [[0.25] * 3, [1.0] * 3])
