"""The V-Net: the paper's size, any shape, and the released names."""

import subprocess
import sys

import pytest
import torch

from ssl_methods.errors import UserError
from ssl_methods.networks import EncoderDecoder, VNet
from ssl_methods.networks.released_weights import BLOCKS, read_released, rename


def test_the_papers_number_of_parameters():
    """DTC paper, table 1: 9.44 M for every variant; the released two-head network has 9,448,866."""
    assert sum(p.numel() for p in VNet(heads=2).parameters()) == 9_448_866
    assert sum(p.numel() for p in EncoderDecoder(heads=1).parameters()) == pytest.approx(
        9.44e6, rel=1e-3
    )


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("levels", [2, 4])
def test_one_output_per_head_at_full_resolution(dimensions, levels):
    network = EncoderDecoder(3, 2, heads=3, width=2, levels=levels, dimensions=dimensions)
    spatial = (16, 24, 8)[:dimensions]
    outputs = network(torch.randn(2, 3, *spatial))
    assert [tuple(output.shape) for output in outputs] == [(2, 2, *spatial)] * 3


@pytest.mark.parametrize("name", ["vnet", "unet"])
def test_features_follow_the_logits_and_are_what_the_finest_heads_see(name):
    shape = {"heads": 2, "scales": 2, "decoders": ("transposed", "nearest"), "width": 2}
    network = EncoderDecoder(1, 3, name=name, levels=3, features=True, **shape)
    plain = EncoderDecoder(1, 3, name=name, levels=3, **shape)
    plain.load_state_dict(network.state_dict())
    image, found = torch.randn(2, 1, 16, 8, 16), []
    for one in (network, plain):
        torch.manual_seed(0)  # dropout
        found.append(one.train()(image))
    for decoder, given in zip(network.decoders, (found[0][:5], found[0][5:]), strict=True):
        *logits, features = given
        assert features.shape == (2, 2, 16, 8, 16)
        for head, expected in zip(decoder.heads, logits[:2], strict=False):
            torch.testing.assert_close(head(features), expected)
    assert len(found[1]) == 8
    for left, right in zip(found[0][:4] + found[0][5:9], found[1], strict=True):
        assert torch.equal(left, right)


def test_dropout_acts_in_training_alone():
    network, image = EncoderDecoder(width=2, levels=3), torch.randn(2, 1, 16, 16, 16)
    network.train()
    assert not torch.equal(network(image)[0], network(image)[0])
    network.eval()
    torch.testing.assert_close(network(image)[0], network(image)[0], rtol=0, atol=0)


def released_names(two_heads):
    """Every name of the released network, written out from its structure."""
    convolutions = {
        "one": 1,
        "two": 2,
        "three": 3,
        "four": 3,
        "five": 3,
        "six": 3,
        "seven": 3,
        "eight": 2,
        "nine": 1,
    }
    blocks = {f"block_{name}": count for name, count in convolutions.items()}
    blocks |= {f"block_{name}_dw": 1 for name in ("one", "two", "three", "four")}
    blocks |= {f"block_{name}_up": 1 for name in ("five", "six", "seven", "eight")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    for block, count in blocks.items():
        for layer in range(count):
            yield from (f"{block}.conv.{3 * layer}.{part}" for part in ("weight", "bias"))
            yield from (f"{block}.conv.{3 * layer + 1}.{part}" for part in norm)
    for head in ("out_conv", "out_conv2")[: 1 + two_heads]:
        yield from (f"{head}.{part}" for part in ("weight", "bias"))


@pytest.mark.parametrize("two_heads", [False, True])
def test_released_names_map_one_to_one(two_heads):
    names = list(released_names(two_heads))
    renamed = rename({name: torch.zeros(1) for name in names})
    assert len(renamed) == len(names)
    assert set(renamed) == set(EncoderDecoder(heads=1 + two_heads).state_dict())


def test_a_released_file_gives_the_same_network(tmp_path):
    ours = EncoderDecoder(heads=2, width=4)
    back = {new: old for old, new in BLOCKS.items()}
    released = {}
    for name, tensor in ours.state_dict().items():
        if "heads" in name:
            head = name.removeprefix("decoders.0.")
            released[head.replace("heads.1", "out_conv").replace("heads.0", "out_conv2")] = tensor
        else:
            block = next(new for new in back if name.startswith(f"{new}."))
            released[f"{back[block]}.conv.{name.removeprefix(f'{block}.')}"] = tensor
    assert set(released) == set(released_names(True))
    torch.save(released, tmp_path / "iter_6000.pth")
    other = EncoderDecoder(heads=2, width=4)
    other.load_state_dict(read_released(tmp_path / "iter_6000.pth"))
    image = torch.randn(1, 1, 16, 16, 16)
    for left, right in zip(ours.eval()(image), other.eval()(image), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


class Hostile:
    """Unpickling this would run code."""

    def __reduce__(self):
        return print, ("code in a checkpoint was run",)


@pytest.mark.parametrize("content", [{"other.weight": torch.zeros(1)}, [1, 2], {"a": Hostile()}])
def test_anything_else_is_refused(tmp_path, content, capsys):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError):
        read_released(tmp_path / "x.pth")
    assert "was run" not in capsys.readouterr().out


@pytest.mark.system
def test_a_library_that_a_network_of_monai_lacks_is_named():
    ask = (
        "import sys; sys.modules['einops'] = None\n"
        "from ssl_methods.networks.from_monai import MonaiNetwork\n"
        "MonaiNetwork('UNETR', {'img_size': (32, 32, 32)}, 1, 1, 1, 3)"
    )
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert "UserError: network monai:UNETR" in told.stderr.splitlines()[-1]
    assert "einops" in told.stderr.splitlines()[-1]
