"""Features as one vector for each voxel, and the small networks that see them one by one."""

from __future__ import annotations

from torch import Tensor, nn


def vectors(features: Tensor) -> Tensor:
    """(N, C, *spatial) to (N * voxels, C), voxels in the order of a mask that is flattened."""
    return features.movedim(1, -1).flatten(0, -2)


def mlp(inputs: int, hidden: int, outputs: int, slope: float = 0.0) -> nn.Sequential:
    """Two linear layers with batch normalisation between them, over all vectors that are given, and
    a ReLU of this slope below 0. Trained on two vectors or more."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.BatchNorm1d(hidden),
        nn.LeakyReLU(slope, inplace=True),
        nn.Linear(hidden, outputs),
    )
