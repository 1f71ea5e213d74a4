"""Modes of a network, for a moment: evaluation, and training that leaves its statistics alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within it the network is in evaluation mode; then each module is in its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Within it, batch normalisation in training mode does not move its running statistics."""
    moved = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in moved:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in moved:
            module.track_running_stats = True
