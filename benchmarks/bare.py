"""A method's networks alone: its forward passes on constant tensors, one backward pass, its
optimisers' steps. What a step of the harness takes beyond that is its overhead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_methods.batch import Batch, Progress
from ssl_methods.config import TrainingConfig
from ssl_methods.methods.base import Method
from ssl_methods.methods.parts.discriminator import Discriminator
from ssl_methods.networks import EncoderDecoder
from ssl_methods.training.loop import step


@dataclass(frozen=True)
class Pass:
    """One call of a part of a network in a step."""

    part: nn.Module
    images: list[Tensor]  # what an encoder or a discriminator is given; a decoder: none
    count: int  # images
    frozen: bool  # whether its weights get no gradient: a discriminator's while it is deceived
    learns: bool  # whether gradients flow at all


def passes(
    method: Method, training: TrainingConfig, batch: Batch, progress: Progress
) -> list[Pass]:
    """What one step of a method calls, in order."""
    seen: list[Pass] = []

    def note(part: nn.Module, given: tuple[Tensor | list[Tensor], ...]) -> None:
        images = [constant(x) for x in given if isinstance(x, Tensor)]
        count = len(images[0] if images else given[0][0])
        frozen = not any(weight.requires_grad for weight in part.parameters())
        seen.append(Pass(part, images, count, frozen, torch.is_grad_enabled()))

    parts: list[nn.Module] = []
    for module in method.modules():
        if isinstance(module, EncoderDecoder):
            parts += [module.encoder, *module.decoders]
        elif isinstance(module, Discriminator):
            parts.append(module)
    hooks = [part.register_forward_pre_hook(note) for part in parts]
    step(method.optimizers(training), batch, progress)
    for hook in hooks:
        hook.remove()
    return seen


def constant(x: Tensor) -> Tensor:
    """A copy that wants a gradient if the original does."""
    return x.detach().clone().requires_grad_(x.requires_grad)


def bare_step(
    method: Method, training: TrainingConfig, batch: Batch, progress: Progress
) -> Callable[[], None]:
    """A function that replays the passes of one step; the method is changed by it."""
    calls = passes(method, training, batch, progress)
    still = training.model_copy(update={"learning_rate": 1e-12})
    optimizers = [optimizer for optimizer, _ in method.optimizers(still)]

    def run() -> None:
        torch.use_deterministic_algorithms(False)
        outputs: list[Tensor] = []
        features: list[Tensor] = []
        for call in calls:
            call.part.requires_grad_(not call.frozen)
            with torch.set_grad_enabled(call.learns):
                if call.images:
                    result = call.part(*call.images)
                else:
                    result = call.part([level[: call.count] for level in features])
            if call.images and isinstance(result, list):
                features = result
            elif call.learns:
                outputs += result if isinstance(result, list) else [result]
            for image in call.images:
                image.grad = None
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.stack([output.float().mean() for output in outputs]).sum().backward()
        for optimizer in optimizers:
            optimizer.step()

    return run
