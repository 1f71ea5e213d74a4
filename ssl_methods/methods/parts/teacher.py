"""The averaged teacher: an exponential moving average of a network, without gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Teacher(AveragedModel):
    """Tarvainen & Valpola (NeurIPS 2017): w' <- a w' + (1 - a) w, a = min(1 - 1/(n + 1), decay).

    n counts earlier updates, so the first update copies the student (as in the released UA-MT
    code). If not ``ramped``, a is the decay from the second update on. Parameters are averaged; the
    batch-norm statistics are the student's, copied at each update, unless ``statistics`` are to be
    averaged too. The teacher stays in training mode (own batch statistics, dropout on), as
    released.
    """

    def __init__(
        self, student: nn.Module, decay: float, *, ramped: bool = True, statistics: bool = False
    ) -> None:
        super().__init__(student)
        self.decay, self.ramped, self.averages_statistics = decay, ramped, statistics
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """What the network gives, as tensors that a loss may keep for its gradient."""
        with torch.inference_mode():
            outputs: list[Tensor] = self.module(image)
        return [output.clone() for output in outputs]

    @torch.no_grad()
    def update_parameters(self, student: nn.Module) -> None:
        """PyTorch's update, but the count is never read back from the device: a GPU is not waited
        for."""
        a = (1 - 1 / (self.n_averaged + 1)).clamp(max=self.decay)
        if not self.ramped:
            a = self.decay * (self.n_averaged > 0)
        self.average(student, a)

    @torch.no_grad()
    def average(self, student: nn.Module, a: Tensor | float) -> None:
        """w' <- a w' + (1 - a) w, where a method has its own rule for a."""
        old: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(student.parameters())
        torch._foreach_mul_(old, a)
        torch._foreach_add_(old, torch._foreach_mul(new, 1 - a))
        for own, buffer in zip(self.module.buffers(), student.buffers(), strict=True):
            averaged = self.averages_statistics and own.is_floating_point()
            own.copy_(a * own + (1 - a) * buffer if averaged else buffer)
        self.n_averaged += 1
