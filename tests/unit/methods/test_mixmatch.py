"""MixMatch: its guesses, its mixing and its sharpening, each restated."""

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.mixmatch import flip
from ssl_methods.methods.parts.sharpening import sharpen


def make(dimensions=2, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0)
    return methods.create("mixmatch", network=network, dimensions=dimensions, **settings)


def make_batch():
    torch.manual_seed(1)
    labels = (torch.rand(2, 1, 8, 8) > 0.7).float()
    return Batch(torch.randn(2, 1, 8, 8), labels, torch.randn(2, 1, 8, 8))


class Pointwise(torch.nn.Module):
    """A network that commutes with flips: its logit is five times the voxel's own intensity."""

    def forward(self, images):
        return [5 * images]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_guess_undoes_its_flips(dimensions):
    method = make(dimensions, noise=0.0, guesses=5, temperature=1.0)
    method.network = Pointwise()
    images = torch.randn(4, 1, *(6, 8, 4)[:dimensions])
    torch.testing.assert_close(
        method.guess(images), torch.sigmoid(5 * images), rtol=1e-4, atol=1e-6
    )


def test_flips_are_per_image_and_along_the_first_two_axes():
    images = torch.randn(4, 1, 3, 5, 7)
    coins = torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1]], dtype=torch.bool).view(2, 4, 1, 1, 1, 1)
    x = images.numpy()
    expected = [x[0], np.flip(x[1], 1), np.flip(x[2], 2), np.flip(x[3], (1, 2))]
    np.testing.assert_array_equal(flip(images, coins), np.stack(expected))


def test_terms_are_those_of_the_mixed_batch():
    """The shares are read off the images that the network is given, not off the generator."""
    method, batch = make().eval(), make_batch()
    seen = []
    method.network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    torch.manual_seed(4)
    with torch.no_grad():
        terms = method.loss(batch, Progress(3, 10))
        mixed = seen[-1]
        torch.manual_seed(4)
        guesses = method.guess(batch.unlabeled_images)
        p = method.network(mixed)[0].sigmoid()
    images = torch.cat([batch.labeled_images, batch.unlabeled_images]).flatten(1)
    targets = torch.cat([batch.labels, guesses]).flatten(1)
    weights = torch.linalg.lstsq(images.T.double(), mixed.flatten(1).T.double()).solution.T
    torch.testing.assert_close(weights.sum(1), torch.ones(4, dtype=torch.float64))
    assert (weights.diagonal() > 0.5 - 1e-5).all()  # every image stays mostly itself
    assert ((weights > 1e-5).sum(1) <= 2).all()
    y, p = (weights @ targets.double()), p.flatten(1).double()
    bce = -(y[:2] * p[:2].log() + (1 - y[:2]) * (1 - p[:2]).log()).mean()
    torch.testing.assert_close(terms["cross_entropy"].value.double(), bce, rtol=1e-4, atol=1e-6)
    square = ((p[2:] - y[2:]) ** 2).mean()
    torch.testing.assert_close(terms["consistency"].value.double(), square, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_sharpening_is_the_formula_and_finite_at_the_ends(temperature):
    p = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)
    a, b = p ** (1 / temperature), (1 - p) ** (1 / temperature)
    torch.testing.assert_close(sharpen(p, temperature).double(), a / (a + b), rtol=1e-4, atol=1e-6)
    ends = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    sharpened = sharpen(ends, temperature)
    sharpened.sum().backward()
    torch.testing.assert_close(sharpened, ends)
    assert ends.grad.isfinite().all()
