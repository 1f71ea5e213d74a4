"""Weight gradients as products: those of PyTorch's own convolutions, in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ssl_methods.networks import weight_gradients
from ssl_methods.networks.weight_gradients import Conv3d, Convolution, ConvTranspose3d

LAYERS = {
    "3": (Conv3d, nn.Conv3d, {"kernel_size": 3, "padding": 1}),
    "2": (Conv3d, nn.Conv3d, {"kernel_size": 2, "stride": 2}),
    "transposed": (ConvTranspose3d, nn.ConvTranspose3d, {"kernel_size": 2, "stride": 2}),
}


@pytest.mark.parametrize("largest", [1, 2**26])  # plane by plane, and all at once
@pytest.mark.parametrize("size", [(6, 8, 10), (7, 5, 9)])
@pytest.mark.parametrize("filters", [(1, 4), (3, 2)])
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_those_of_pytorch(kind, filters, size, largest, monkeypatch):
    monkeypatch.setattr(weight_gradients, "LARGEST", largest)
    monkeypatch.setattr(weight_gradients, "is_quicker", lambda x: True)
    own, reference, settings = LAYERS[kind]
    torch.manual_seed(0)
    layer = own(*filters, **settings).double()
    expected = reference(*filters, **settings).double()
    expected.load_state_dict(layer.state_dict())
    images = torch.randn(2, filters[0], *size, dtype=torch.float64)
    images = images.to(memory_format=torch.channels_last_3d)
    found = []
    for module in (layer, expected):
        x = images.clone().requires_grad_()
        y = module(x)
        y.sin().sum().backward()
        found.append([y, x.grad, module.weight.grad, module.bias.grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_what_needs_no_gradient_gets_none(monkeypatch):
    weight = torch.randn(2, 1, 3, 3, 3)
    x = torch.randn(1, 1, 4, 4, 4, requires_grad=True)
    Convolution.apply(x, weight, None, False).sum().backward()
    twin = x.detach().clone().requires_grad_()
    functional.conv3d(twin, weight, padding=1).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)
    assert weight.grad is None


def test_on_the_cpu_the_convolutions_are_pytorchs():
    assert not weight_gradients.is_quicker(torch.zeros(1, 1, 4, 4, 4))
