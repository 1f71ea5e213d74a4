"""Released checkpoints of DTC, SASSNet, UA-MT and SSL4MIS in this project's names.

The released `VNet` names its blocks one to nine; ours are lists by level. The map is one to one.
UA-MT's and SSL4MIS's has two softmax channels, background and foreground: the difference of the two
is the one logit here. A checkpoint with any other name or shape is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_methods.errors import UserError, printable
from ssl_methods.networks.encoder_decoder import EncoderDecoder
from ssl_methods.weights import Damaged, load, save_sealed

BLOCKS = {
    "block_one": "encoder.blocks.0",
    "block_one_dw": "encoder.down.0",
    "block_two": "encoder.blocks.1",
    "block_two_dw": "encoder.down.1",
    "block_three": "encoder.blocks.2",
    "block_three_dw": "encoder.down.2",
    "block_four": "encoder.blocks.3",
    "block_four_dw": "encoder.down.3",
    "block_five": "encoder.blocks.4",
    "block_five_up": "decoders.0.up.3",
    "block_six": "decoders.0.blocks.3",
    "block_six_up": "decoders.0.up.2",
    "block_seven": "decoders.0.blocks.2",
    "block_seven_up": "decoders.0.up.1",
    "block_eight": "decoders.0.blocks.1",
    "block_eight_up": "decoders.0.up.0",
    "block_nine": "decoders.0.blocks.0",
}

LEVELS = 5  # of every released V-Net
WIDEST = 1024  # filters at full resolution, and channels
WRAPPED_IN = ("state_dict", "model")  # what training scripts save beside an epoch and an optimiser
SHOWN = 3  # faults of a file that are named; the rest are counted


def unwrapped(content: Any) -> dict[str, Tensor]:
    """The state dict that a file holds: as it is, or under one of ``WRAPPED_IN``; without the
    `module.` that DataParallel writes before each name.

    Raises UserError for anything else.
    """
    for key in WRAPPED_IN:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise UserError("expected a state dict of tensors")
    other = [
        printable(name, 100) for name, value in content.items() if not isinstance(value, Tensor)
    ]
    if other:
        known = " or ".join(f"'{key}'" for key in WRAPPED_IN)
        raise UserError(
            f"expected a state dict of tensors, alone or under {known}; it has {listed(other)}"
        )
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def rename(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a released V-Net as one of `networks.EncoderDecoder`.

    With two heads (`vnet_sdf`), `out_conv` is the level set and `out_conv2` the segmentation: our
    heads 1 and 0. With one (`vnet`), `out_conv` is the segmentation. Raises UserError for an
    unknown name.
    """
    two_heads = any(name.startswith("out_conv2.") for name in released)
    first = "out_conv2" if two_heads else "out_conv"
    heads = {"out_conv": "decoders.0.heads.1", first: "decoders.0.heads.0"}
    renamed, unknown = {}, []
    for name, tensor in released.items():
        match = re.fullmatch(r"(\w+?)(?:\.conv)?\.(\d+\.)?(\w+)", name)
        block = match and (BLOCKS.get(match[1]) or heads.get(match[1]))
        if match and block:
            renamed[f"{block}.{match[2] or ''}{match[3]}"] = tensor
        else:
            unknown.append(f"'{printable(name, 100)}'")
    if unknown:
        raise UserError(f"no part of the released V-Net (DTC, SASSNet, UA-MT): {listed(unknown)}")
    return renamed


def with_one_logit(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The only head's two softmax channels as the logit of the foreground: their difference, whose
    sigmoid is the softmax's second channel."""
    head = "decoders.0.heads.0"
    channels = state.get(f"{head}.weight", torch.empty(0)).shape[0]
    if channels != 2 or "decoders.0.heads.1.weight" in state:
        return state
    parts = {name: tensor for name, tensor in state.items() if name.startswith(f"{head}.")}
    return state | {name: tensor[1:] - tensor[:1] for name, tensor in parts.items()}


def checked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same, if it is the whole of a V-Net of one class, of whatever width.

    PyTorch before 0.4.1 wrote no `num_batches_tracked`, which is read by none of these networks: 0.
    Raises UserError naming what is absent or of another shape.
    """
    first, heads = state.get("encoder.blocks.0.0.weight"), "decoders.0.heads.1.weight" in state
    if first is None or first.ndim != 5:
        raise UserError(f"lacks {released_name('encoder.blocks.0.0.weight')} of five axes")
    width, channels = first.shape[:2]
    if not (1 <= width <= WIDEST and 1 <= channels <= WIDEST):
        raise UserError(f"has {width} filters for {channels} channels; 1 to {WIDEST} can be")
    with torch.device("meta"):
        network = EncoderDecoder(channels, heads=1 + heads, width=width, levels=LEVELS)
    expected = network.state_dict()
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    state = {name: torch.tensor(0) for name in counters} | state
    faults = list(faults_of(state, expected))
    if faults:
        raise UserError(f"is not the released V-Net with {width} filters: {listed(faults)}")
    return {name: state[name] for name in expected}


def faults_of(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    """What is too much, absent or of another shape, in the released names."""
    heads = sum(name.startswith("decoders.0.heads.") for name in expected) // 2
    for name in [*expected, *(name for name in state if name not in expected)]:
        title = released_name(name, heads)
        if name not in expected:
            yield f"{title} is too much"
        elif name not in state:
            yield f"{title} is absent"
        elif state[name].shape != expected[name].shape:
            yield f"{title} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"


def released_name(name: str, heads: int = 1) -> str:
    """The inverse of ``rename``, for one name."""
    if name.startswith("decoders.0.heads."):
        head, part = name.removeprefix("decoders.0.heads.").split(".")
        return f"{'out_conv2' if heads == 2 and head == '0' else 'out_conv'}.{part}"
    block = next(key for key, ours in BLOCKS.items() if name.startswith(f"{ours}."))
    return f"{block}.conv.{name.removeprefix(f'{BLOCKS[block]}.')}"


def listed(items: list[str]) -> str:
    """The first few, and how many more."""
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def read_released(path: Path) -> dict[str, Tensor]:
    """The state dict of an ``EncoderDecoder`` from a released `.pth`; no code in the file is run.

    Raises UserError for a file that is not such a network, naming the parts at fault.
    """
    try:
        content = load(path)
    except Damaged as error:
        raise UserError(f"{error}; a plain PyTorch checkpoint is expected") from None
    try:
        return checked(with_one_logit(rename(unwrapped(content))))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def import_released(path: Path, out: Path) -> None:
    """Write a released checkpoint as the `model.pt` of a method with one such network.

    Two heads make a `dtc` or `sdf_multitask` model, one head a `supervised` model.
    """
    state = {f"network.{name}": tensor for name, tensor in read_released(path).items()}
    save_sealed(out, state)  # by which `evaluate` knows it in the place of a run's own


def load_released(network: nn.Module, path: Path) -> None:
    """Put a released checkpoint into a method's network.

    Raises UserError if the file is no released V-Net, or the network is another.
    """
    state, expected = read_released(path), network.state_dict()
    if state.keys() != expected.keys():
        heads = sum(".heads." in name for name in state) // 2
        raise UserError(
            f"{path}: holds a V-Net of five levels with {('one head', 'two heads')[heads - 1]};"
            " the method's network is another: dtc, sdf_multitask and sassnet have two heads"
        )
    shapes = [f"{n} {tuple(state[n].shape)}, not {tuple(expected[n].shape)}"
              for n in state if state[n].shape != expected[n].shape]  # fmt: skip
    if shapes:
        raise UserError(
            f"{path}: is not of the experiment's network.width or channels: {listed(shapes)}"
        )
    network.load_state_dict(state)
