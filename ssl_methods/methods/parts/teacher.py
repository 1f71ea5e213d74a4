"""The averaged teacher: an exponential moving average of a network, without gradients."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Teacher(AveragedModel):
    """Tarvainen & Valpola (NeurIPS 2017): w' <- a w' + (1 - a) w, a = min(1 - 1/(n + 1), decay).

    n counts earlier updates, so the first update copies the student (as in the released UA-MT
    code). Parameters are averaged; the batch-norm statistics are the student's, copied at each
    update. The teacher stays in training mode (own batch statistics, dropout on), as released.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        def average(old: Tensor, new: Tensor, n: Tensor | int) -> Tensor:
            a = min(1 - 1 / (float(n) + 1), decay)
            return a * old + (1 - a) * new

        super().__init__(student, avg_fn=average)
        self.requires_grad_(False)
