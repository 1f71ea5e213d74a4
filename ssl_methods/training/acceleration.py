"""What makes a step quicker: compilation, new memory left unfilled, TF32 unless float32 is asked
for."""

from __future__ import annotations

import torch
import torch._functorch.config
import torch.utils.deterministic

from ssl_methods.config import TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Method
from ssl_methods.networks import EncoderDecoder, Network

MODES = {"compile": "default", "graphs": "reduce-overhead"}  # of torch.compile


def accelerate(method: Method, training: TrainingConfig, device: torch.device) -> None:
    """Compile the method's networks, in place, if that is asked for.

    Deterministic algorithms by themselves fill new memory with NaN before an operation writes to
    it. That shows operations that read what they did not write; it changes no result otherwise and
    takes time, so it is off (a test trains with it on, to the same bits).
    """
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if training.compile != "none":
        compile_networks(method, training.compile, device)


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
