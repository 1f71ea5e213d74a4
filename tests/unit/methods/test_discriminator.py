"""The discriminator against a restatement of the released one, and the game's two sides."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.parts.discriminator import (
    AdversarialConfig,
    Discriminator,
    make_discriminator,
)
from ssl_methods.networks import MakeNetwork


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Discriminator(classes=1, in_channels=1, dimensions=3, width=4)


def test_size_is_that_of_the_released_one():
    """Table 3 of the DTC paper: SASSNet has 20.46 M parameters, its network without it 9.44 M."""
    paper = make_discriminator(AdversarialConfig(), MakeNetwork(NetworkConfig()))
    count = sum(parameter.numel() for parameter in paper.parameters())
    assert count / 1e6 == pytest.approx(20.46 - 9.44, abs=0.005)


def test_width_follows_the_network_unless_set():
    make_network = MakeNetwork(NetworkConfig(width=2, levels=2))
    assert make_discriminator(AdversarialConfig(), make_network).of_map.out_channels == 8
    fixed = AdversarialConfig(discriminator_width=64)
    assert make_discriminator(fixed, make_network).of_map.out_channels == 64


def test_logits_are_those_of_pooling_at_a_fixed_patch_size(small):
    """32 voxels leave 2 after four halvings, which the released form pools by their number."""
    small.eval()
    maps, images = torch.rand(2, 3, 1, 32, 32, 32)
    slope = nn.LeakyReLU(0.2)
    first, second, third = small.deeper
    tower = nn.Sequential(slope, first, slope, second, slope, third, slope, nn.AvgPool3d(2))
    features = tower(small.of_map(maps) + small.of_image(images))
    torch.testing.assert_close(small(maps, images), small.classifier(features.flatten(1)))


@pytest.mark.parametrize(("dimensions", "classes"), [(2, 1), (3, 3)])
def test_sixteen_voxels_are_enough_and_fewer_are_refused(dimensions, classes):
    model = Discriminator(classes, in_channels=2, dimensions=dimensions, width=2)
    space = (16, 17, 24)[:dimensions]
    assert model(torch.rand(3, classes, *space), torch.rand(3, 2, *space)).shape == (3, 2)
    short = (24, 15, 24)[:dimensions]
    with pytest.raises(UserError, match="patch_size"):
        model(torch.rand(3, classes, *short), torch.rand(3, 2, *short))


def test_doubt_moves_the_maps_and_nothing_of_the_discriminator(small):
    small.train()
    maps, images = torch.rand(2, 1, 16, 16, 16, requires_grad=True), torch.rand(2, 1, 16, 16, 16)
    value = small.doubt(maps, images)
    value.backward()
    assert maps.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in small.parameters())
    assert all(module.training for module in small.modules())
    assert all(parameter.requires_grad for parameter in small.parameters())
    unlabeled, labeled = small.eval()(maps, images).detach().T
    torch.testing.assert_close(value.detach(), functional.softplus(unlabeled - labeled).mean())


def test_learns_to_tell_maps_apart_and_then_doubt_is_large(small):
    g = torch.Generator().manual_seed(0)
    images = torch.randn(4, 1, 16, 16, 16, generator=g)
    maps = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(4, 1, 1, 1, 1).expand_as(images)
    optimizer = small.optimizer(0.01)
    for _ in range(60):
        optimizer.zero_grad()
        small.error(maps, images, labeled=2).backward()
        optimizer.step()
    assert small.eval()(maps, images).argmax(1).tolist() == [1, 1, 0, 0]
    assert small.doubt(maps[2:], images[2:]) > 1 > 0.5 > small.doubt(maps[:2], images[2:])
