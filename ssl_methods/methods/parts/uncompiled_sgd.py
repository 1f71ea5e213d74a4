"""PyTorch's SGD without its detours around torch.compile."""

from __future__ import annotations

from inspect import unwrap

import torch
from torch.optim import SGD


class UncompiledSGD(SGD):
    """The same steps, bit for bit, and the same state.

    PyTorch wraps these methods so that torch.compile leaves them alone; the first call then imports
    the compiler, sympy included, which is a third of the time to a job's first step (2.0 of 5.3 s,
    measured). Networks are compiled where that is asked for, optimisers never.
    """

    step = torch.no_grad()(unwrap(SGD.step))
    add_param_group = unwrap(SGD.add_param_group)
    zero_grad = unwrap(SGD.zero_grad)
    state_dict = unwrap(SGD.state_dict)
    load_state_dict = unwrap(SGD.load_state_dict)
