"""Cross teaching: the loss against the released formula, and the choice of the partner."""

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress

UNETR = {
    "img_size": [16, 16, 16],
    "feature_size": 4,
    "hidden_size": 16,
    "mlp_dim": 32,
    "num_heads": 2,
}


def make(network="vnet", **settings):
    torch.manual_seed(0)
    chosen = NetworkConfig(name=network, width=2, levels=2)
    return methods.create("cross_teaching", network=chosen, **settings)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, 16, 16, 16, generator=g) > 0.7).float()
    images = torch.randn(4, 1, 16, 16, 16, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_loss_against_the_released_formula(batch):
    """Dice over both channels of a softmax, squared denominators, the other's argmax as truth."""
    method = make().eval()
    terms = method.loss(batch, Progress(9, 10))
    networks = (method.network, method.second)
    left, right = (network(batch.unlabeled_images)[0] for network in networks)
    value = torch.zeros(())
    for student, teacher in ((left, right), (right, left)):
        channels = torch.cat([torch.zeros_like(student), student], 1).softmax(1)
        truth = torch.cat([torch.zeros_like(teacher), teacher], 1).argmax(1)
        for channel in (0, 1):
            p, y = channels[:, channel], (truth == channel).float()
            overlap = (2 * (p * y).sum() + 1e-5) / ((p * p).sum() + y.sum() + 1e-5)
            value = value + (1 - overlap) / 2
    torch.testing.assert_close(terms["cross_teaching"].value, value)


def test_the_partner_is_of_another_kind_and_only_the_own_predicts(batch):
    method, swapped = make(), make("unet", partner="vnet")
    shapes = [
        [p.shape for p in network.parameters()] for network in (method.network, method.second)
    ]
    assert shapes[0] != shapes[1]
    assert shapes == [[p.shape for p in n.parameters()] for n in (swapped.second, swapped.network)]
    before = method.eval().predict(batch.unlabeled_images)
    for weight in method.second.parameters():
        torch.nn.init.zeros_(weight)
    assert torch.equal(method.predict(batch.unlabeled_images), before)


@pytest.mark.parametrize(
    ("partner", "arguments"),
    [("monai:SegResNet", {"init_filters": 8}), ("monai:UNETR", UNETR)],
)
def test_a_partner_of_monai_learns_and_teaches(batch, partner, arguments):
    if partner == "monai:UNETR":
        pytest.importorskip("einops")  # MONAI's transformers need it
    method = make(partner=partner, partner_arguments=arguments)
    method.loss(batch, Progress(9, 10))["cross_teaching"].value.backward()
    for network in (method.network, method.second):
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert torch.cat([g.flatten() for g in gradients]).norm() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partner": "vnet"}, "two different"),
        ({"partner": "resnet"}, "cross_teaching.partner"),
        ({"partner_arguments": {"depth": 3}}, "arguments are for monai"),
    ],
)
def test_a_partner_that_cannot_be_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
