"""A look at every gradient that is stepped along: a loss may be finite and its gradient not.

What is kept of a step is one number per parameter, on the device, so that no step waits for it; the
loop looks at it when it looks at the losses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Largest:
    """The largest absolute gradient of each parameter that an optimiser has stepped: (P,), and
    their names. NaN where one is NaN."""

    names: list[str]
    values: Tensor


@dataclass
class GradientWatch:
    """Notes what optimisers are about to step along; one for a training."""

    names: dict[int, str]
    seen: list[Largest] = field(default_factory=list)

    @classmethod
    def of(cls, method: nn.Module, optimizers: Iterable[Optimizer]) -> GradientWatch:
        watch = cls({id(parameter): name for name, parameter in method.named_parameters()})
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(watch.note)
        return watch

    @torch.no_grad()
    def note(self, optimizer: Optimizer, *_: Any) -> None:
        """Called by an optimiser before its step."""
        held = {
            self.names.get(id(parameter), "a parameter"): parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        }
        if held:
            norms = torch._foreach_norm(list(held.values()), float("inf"))
            self.seen.append(Largest(list(held), torch.stack(norms)))

    def taken(self) -> list[Largest]:
        """What was noted since the last call."""
        seen, self.seen = self.seen, []
        return seen
