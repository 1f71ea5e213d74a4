"""What makes a step quicker and is chosen by rule: memory layout, compilation, unfilled memory.

Nothing is timed at the start of a run: another choice rounds otherwise, and two runs would differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch._functorch.config
import torch.utils.deterministic

from ssl_methods.config import TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Method
from ssl_methods.networks import EncoderDecoder, Network

MODES = {"compile": "default", "graphs": "reduce-overhead"}  # of torch.compile


def accelerate(method: Method, training: TrainingConfig, device: torch.device) -> None:
    """Lay the method's weights out and compile its networks, in place.

    Deterministic algorithms by themselves fill new memory with NaN before an operation writes to
    it. That shows operations that read what they did not write; it changes no result otherwise and
    takes up to 7 % of a step, so it is off (a test trains with it on, to the same bits).
    """
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if channels_last(training.patch_size, device):
        method.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    if training.compile != "none":
        compile_networks(method, training.compile, device)


def channels_last(patch_size: Sequence[int], device: torch.device) -> bool:
    """For small 3D patches on the CPU.

    Measured on one core (V-Net, batch 4, forward, backward, SGD): 1.25 times faster at 48x48x32
    and 32x48x32 with 8 filters and at 32x32x16 with 4; slower at 112x112x80. Not measured: 2D, and
    any GPU. These are left as they were.
    """
    return device.type == "cpu" and len(patch_size) == 3 and math.prod(patch_size) <= 100_000


def compile_networks(
    method: Method, how: str, device: torch.device, backend: str = "inductor"
) -> None:
    """Compile every encoder and decoder of a method, each by itself; losses stay as they are.

    ``graphs``: and replay them as CUDA graphs, which saves the launching of kernels.

    Raises UserError for graphs without a GPU.
    """
    if how == "graphs" and device.type != "cuda":
        raise UserError("training.compile is 'graphs', which needs a GPU; use 'none' or 'compile'")
    # Deep co-training goes through one graph twice, for its adversarial images.
    torch._functorch.config.donated_buffer = False
    for network in [module for module in method.modules() if isinstance(module, Network)]:
        decoders = list(network.decoders) if isinstance(network, EncoderDecoder) else []
        for part in [network.encoder, *decoders]:
            part.compile(mode=MODES[how], backend=backend)
