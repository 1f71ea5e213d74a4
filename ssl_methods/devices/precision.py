"""In what precision a training computes: what is asked for, and what a method needs at least.

``float32`` is float32 throughout, TF32 off, as on the cards that the released code ran on. ``tf32``
rounds what convolutions and products are given to 10 bits of mantissa; ``bfloat16`` to 7, and keeps
what is between layers in it too. What each does to the gradient of every loss term is measured by
``benchmarks/precision.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from ssl_methods.config import Precision
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    import torch


def resolve(
    asked: Literal["auto"] | Precision, least: Precision, device: torch.device
) -> Precision:
    """The precision of a training on this device; ``auto`` on CUDA is the least that its method
    asks for, on the CPU float32.

    Raises UserError for tf32 without a GPU.
    """
    if asked == "auto":
        return least if device.type == "cuda" else "float32"
    if asked == "tf32" and device.type != "cuda":
        raise UserError("training.precision is 'tf32', which needs a GPU; use 'auto' or 'float32'")
    return asked


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """PyTorch's autocast to bfloat16 for forward passes, switched off for the other two."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """While the block runs, whether a GPU may round what float32 operations are given.

    PyTorch allows it to convolutions unless told otherwise.
    """
    from torch.backends import cuda, cudnn

    before = cudnn.allow_tf32, cuda.matmul.allow_tf32
    cudnn.allow_tf32 = cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        cudnn.allow_tf32, cuda.matmul.allow_tf32 = before
