"""MCF: the loss against its formula, who teaches whom, and what predicts."""

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.mcf import MCFConfig, review


def make(network="vnet", **settings):
    torch.manual_seed(0)
    chosen = NetworkConfig(name=network, width=2, levels=2, dropout=0.0)
    return methods.create("mcf", network=chosen, classes=2, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 2, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def softmax(z):
    """Background and foreground of each class."""
    return torch.stack([torch.zeros_like(z), z]).softmax(0)


@pytest.mark.parametrize("better", ["network", "second"])
def test_the_better_of_the_step_teaches_the_other_its_sharpened_softmax(batch, better):
    method = make(temperature=0.5).eval()
    good, bad = method.network, method.second
    if better == "second":
        good, bad = bad, good
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    with torch.no_grad():  # what it says is true
        batch = Batch(images[:2], (good(images[:2])[0] > 0).float(), images[2:])
    terms = method.loss(batch, Progress(9, 10))
    p, q = softmax(bad(images[2:])[0]), softmax(good(images[2:])[0]).detach()
    sharp = q**2 / (q**2).sum(0)
    torch.testing.assert_close(terms["correction"].value, (p - sharp).square().mean())
    assert terms["correction"].weight == pytest.approx(0.1 * 0.951229)  # exp(-5 / 100)

    terms["correction"].value.backward()
    moved = {net: sum(float(p.grad.norm()) for p in net.parameters()) for net in (good, bad)}
    assert moved[good] == 0 and moved[bad] > 0


def test_the_review_is_of_voxels_where_the_classes_differ():
    first = torch.tensor([0.9, 0.2, 0.6, 0.1]).reshape(1, 1, 4)
    second = torch.tensor([0.7, 0.7, 0.3, 0.2]).reshape(1, 1, 4)
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0]).reshape(1, 1, 4)
    expected = ((0.2 - 1) ** 2 + (0.7 - 1) ** 2 + 0.6**2 + 0.3**2) / 2
    assert float(review(first, second, labels)) == pytest.approx(expected)
    assert float(review(first, first, labels)) == 0


def test_all_labeled_and_at_weight_0_the_review_is_left(batch):
    alone = Batch(batch.labeled_images, batch.labels, batch.unlabeled_images[:0])
    for method, images in ((make(), alone), (make(weight=0.0), batch)):
        terms = method.loss(images, Progress(0, 10))
        assert set(terms) == {"cross_entropy", "dice", "review"} and terms["review"].weight == 0.5


def test_the_mean_of_both_predicts_or_the_first_alone(batch):
    method = make().eval()
    p1, p2 = (f(batch.unlabeled_images)[0].sigmoid() for f in (method.network, method.second))
    torch.testing.assert_close(method.predict(batch.unlabeled_images), (p1 + p2) / 2)
    alone = make(predicts="first").eval()
    assert torch.equal(alone.predict(batch.unlabeled_images), p1)


def test_a_partner_of_the_same_kind_is_refused():
    with pytest.raises(UserError, match=r"mcf\.partner is network\.name"):
        make("unet")
    assert make("unet", partner="vnet").second.__class__ is make().network.__class__


def test_released_patches_are_neither_mirrored_nor_turned():
    loop = MCFConfig.released_training(TrainingConfig())
    assert loop.flip_axes == () and not loop.rotate
