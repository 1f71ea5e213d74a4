"""The optimiser that the settings of a run name, over what is trainable in a module."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ssl_methods.config import TrainingConfig


def make_optimizer(module: nn.Module, training: TrainingConfig) -> Optimizer:
    """SGD, Adam or AdamW with the learning rate and weight decay of the settings.

    On a GPU as one fused operation. On a CPU that is no faster: 7.0 ms and, fused, 7.4 ms of a step
    of 0.38 s (SGD, V-Net of width 8, one core).
    """
    kinds: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
        "sgd": (UncompiledSGD, {"momentum": training.momentum}),
        "adam": (UncompiledAdam, {"betas": training.betas}),
        "adamw": (UncompiledAdamW, {"betas": training.betas}),
    }
    kind, own = kinds[training.optimizer]
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    common: dict[str, Any] = {
        "lr": training.learning_rate,
        "weight_decay": training.weight_decay,
        "fused": all(parameter.is_cuda for parameter in parameters),
    }
    return kind(parameters, **common, **own)


def uncompiled(kind: type[Optimizer]) -> dict[str, Any]:
    """Methods of an optimiser of PyTorch without their detours around torch.compile.

    PyTorch wraps these so that torch.compile leaves them alone; the first call then imports the
    compiler, sympy included, which is a third of the time to a job's first step (2.0 of 5.3 s,
    measured). Networks are compiled where that is asked for, optimisers never. Steps and state are
    the same, bit for bit.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    return {name: unwrap(getattr(kind, name)) for name in names} | {
        "step": torch.no_grad()(unwrap(kind.step))
    }


UncompiledSGD = type("UncompiledSGD", (SGD,), uncompiled(SGD))
UncompiledAdam = type("UncompiledAdam", (Adam,), uncompiled(Adam))
UncompiledAdamW = type("UncompiledAdamW", (AdamW,), uncompiled(AdamW))
