"""Class contrast: features of a class are pulled to remembered ones of that class.

Alonso et al., "Semi-supervised semantic segmentation with pixel-level contrastive learning from a
class-wise memory bank", ICCV 2021, in the form of SS-Net's code (Wu et al., MICCAI 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssl_methods.methods.parts.modes import evaluating
from ssl_methods.methods.parts.voxel_vectors import mlp, vectors

SIZE = 32  # of a projected feature; and the number of those remembered for each class


class ClassContrast(nn.Module):
    """A projection, a prediction on it, a scorer and a memory for each class.

    The memory is a buffer, so that a run resumes with it; a class of which nothing is remembered
    yet has zeros, to which every feature is at distance 1 with gradient 0.
    """

    memory: Tensor

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.projection, self.prediction = mlp(channels, SIZE, SIZE), mlp(SIZE, SIZE, SIZE)
        self.scorers = nn.ModuleList(mlp(SIZE, SIZE, 1, slope=0.2) for _ in range(classes))
        self.register_buffer("memory", torch.zeros(classes, SIZE, SIZE))

    @torch.no_grad()
    def remember(self, features: Tensor, right: Tensor) -> None:
        """Replace what is remembered by projected features of voxels that are rightly predicted.

        The voxels of lowest score are taken, as the code does; of fewer than 32 some are repeated.
        A class with fewer than two keeps what it had.

        Args:
            features: (N, channels, *spatial).
            right: (N, K, *spatial) of 0 and 1.
        """
        with evaluating(self.projection):
            projected = self.projection(vectors(features)).float()
        for kept, scorer, mask in zip(self.memory, self.scorers, vectors(right).T, strict=True):
            found = projected[mask > 0]
            if len(found) > 1:
                order = scorer(found)[:, 0].argsort(stable=True)
                kept.copy_(found[order[torch.arange(SIZE, device=order.device) % len(order)]])

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Sum over the classes of their distance to what is remembered, by K + 1.

        A distance is 1 - cosine, averaged over what is remembered and, by weights that the scorer
        learns, over the voxels of a class; 0 with gradient 0 for a class of fewer than two.

        Args:
            features: (N, channels, *spatial).
            labels: (N, K, *spatial) of 0 and 1.
        """
        predicted = self.prediction(self.projection(vectors(features))).float()
        value = 0 * predicted.sum()
        known = functional.normalize(self.memory, dim=2).mean(1)
        for kept, scorer, mask in zip(known, self.scorers, vectors(labels).T, strict=True):
            own = predicted[mask > 0]
            if len(own) > 1:
                weights = scorer(own.detach()).float().sigmoid()
                direction = (weights * functional.normalize(own)).sum(0) / weights.sum()
                value = value + 1 - (direction * kept).sum()
        return value / (1 + len(known))
