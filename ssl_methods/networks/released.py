"""Released checkpoints of DTC, SASSNet and UA-MT in this project's names.

The released `VNet` names its blocks one to nine; ours are lists by level. The map is one to one,
and a checkpoint with any other name or shape is refused.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from ssl_methods.errors import UserError
from ssl_methods.files import write_with

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


def rename(released: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a released V-Net as one of `networks.EncoderDecoder`.

    With two heads (`vnet_sdf`), `out_conv` is the level set and `out_conv2` the segmentation: our
    heads 1 and 0. With one (`vnet`), `out_conv` is the segmentation. Raises UserError for an
    unknown name.
    """
    two_heads = any(name.startswith("out_conv2.") for name in released)
    first = "out_conv2" if two_heads else "out_conv"
    heads = {"out_conv": "decoders.0.heads.1", first: "decoders.0.heads.0"}
    renamed = {}
    for name, tensor in released.items():
        match = re.fullmatch(r"(?:module\.)?(\w+?)(?:\.conv)?\.(\d+\.)?(\w+)", name)
        block = match and (BLOCKS.get(match[1]) or heads.get(match[1]))
        if not match or not block:
            raise UserError(f"'{name}' is no parameter of the released V-Net (DTC, SASSNet, UA-MT)")
        renamed[f"{block}.{match[2] or ''}{match[3]}"] = tensor
    return renamed


def read_released(path: Path) -> dict[str, Tensor]:
    """Read a released `.pth` without running any code in it, and rename it. Raises UserError."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: is no plain PyTorch checkpoint ({reason})") from None
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(f"{path}: expected a state dict of tensors")
    return rename(content)


def import_released(path: Path, out: Path) -> None:
    """Write a released checkpoint as the `model.pt` of a method with one such network.

    Two heads make a `dtc` or `sdf_multitask` model, one head a `supervised` model.
    """
    state = {f"network.{name}": tensor for name, tensor in read_released(path).items()}
    write_with(out, lambda file: torch.save(state, file))
