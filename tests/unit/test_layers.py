"""Changes of resolution against PyTorch's own layers; U-Net, several decoders, deep supervision."""

import pytest
import torch
from torch import nn

from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.networks import EncoderDecoder, MakeNetwork
from ssl_methods.networks.layers import Enlarge, MaxPool


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_enlarge_is_pytorchs_upsampling(dimensions, factor):
    x = torch.randn(2, 3, *(6, 5, 4)[:dimensions], requires_grad=True)
    linear = {2: "bilinear", 3: "trilinear"}[dimensions]
    modes = {"linear": (linear, False), "aligned": (linear, True), "nearest": ("nearest", None)}
    for by, (mode, aligned) in modes.items():
        theirs = nn.Upsample(scale_factor=factor, mode=mode, align_corners=aligned)(x)
        ours = Enlarge(factor, by)(x)
        torch.testing.assert_close(ours, theirs)
        weight = torch.randn_like(theirs)
        left, right = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs))
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_max_pool_is_pytorchs(dimensions):
    x = torch.randn(2, 3, *(6, 4, 8)[:dimensions])
    pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dimensions](2)
    torch.testing.assert_close(MaxPool()(x), pool(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["vnet", "unet"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_output_per_decoder_scale_and_head(name, dimensions):
    make = MakeNetwork(NetworkConfig(name=name, width=2, levels=3), 2, 3, dimensions)
    network = make(2, decoders=("transposed", "linear", "nearest"), scales=2)
    image = torch.randn(2, 2, *(8, 12, 4)[:dimensions])
    outputs = network(image)
    assert [tuple(output.shape) for output in outputs] == [(2, 3, *image.shape[2:])] * 12
    sum(output.square().mean() for output in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_u_net_joins_where_v_net_adds():
    """Two convolutions a level; the first of a decoder sees twice the filters."""
    network = EncoderDecoder(name="unet", width=4, levels=3)
    assert [len(block) for block in network.encoder.blocks] == [6, 6, 6]
    assert network.decoders[0].blocks[0][0].in_channels == 8
    assert not list(network.encoder.down.parameters())


def test_heads_of_one_scale_share_the_dropout():
    network = EncoderDecoder(heads=2, width=2, levels=2).train()
    first, second = network.decoders[0].heads
    second.load_state_dict(first.state_dict())
    left, right = network(torch.randn(1, 1, 8, 8, 8))
    torch.testing.assert_close(left, right, rtol=0, atol=0)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_network_of_monai(dimensions):
    config = NetworkConfig(name="monai:SegResNet", arguments={"init_filters": 8})
    network = MakeNetwork(config, 2, 3, dimensions)(2)
    image = torch.randn(1, 2, *(16, 16, 16)[:dimensions])
    assert [tuple(y.shape) for y in network(image)] == [(1, 3, *image.shape[2:])] * 2


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("monai:SegRessNet", {}, "did you mean 'SegResNet'"),
        ("monai:SegResNet", {"filters": 3}, "init_filters"),
        ("monai:UNet", {}, "channels"),
    ],
)
def test_what_monai_refuses_is_said(name, arguments, said):
    with pytest.raises(UserError, match=said):
        MakeNetwork(NetworkConfig(name=name, arguments=arguments))()


@pytest.mark.parametrize(
    "wanted", [{"decoders": ("linear", "nearest")}, {"scales": 2}, {"features": True}]
)
def test_what_a_backbone_cannot_give_is_said(wanted):
    with pytest.raises(UserError, match="use vnet or unet"):
        MakeNetwork(NetworkConfig(name="monai:SegResNet"))(**wanted)
    with pytest.raises(UserError, match=r"raise network\.levels"):
        MakeNetwork(NetworkConfig(levels=2))(scales=3)


def test_a_network_of_monai_that_is_no_segmentation_is_said():
    config = NetworkConfig(name="monai:DenseNet121")
    network = MakeNetwork(config, dimensions=2)()
    with pytest.raises(UserError, match="not a segmentation network"):
        network(torch.randn(2, 1, 32, 32))
