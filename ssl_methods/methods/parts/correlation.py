"""Omni-correlation: two networks agree how like a voxel is to remembered ones of every class.

Gao, Zhang, Ma, Li, Zhang, "Correlation-Aware Mutual Learning for Semi-supervised Medical Image
Segmentation", MICCAI 2023. Classes are the background, then the foreground's K.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_methods.methods.parts.modes import evaluating
from ssl_methods.methods.parts.voxel_vectors import mlp, vectors

SIZE, REMEMBERED, TEMPERATURE = 32, 256, 0.1  # of a vector, for each class, of the likeness


class Correlation(nn.Module):
    """For each of two networks a projection and a prediction on it; a memory for each class.

    The memory is a ring: new vectors push out the oldest. It is a buffer, so that a run resumes
    with it.
    """

    memory: Tensor
    held: Tensor

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(mlp(channels, SIZE, SIZE) for _ in range(2))
        self.predictions = nn.ModuleList(mlp(SIZE, SIZE, SIZE) for _ in range(2))
        self.register_buffer("memory", torch.zeros(1 + classes, REMEMBERED, SIZE))
        self.register_buffer("held", torch.zeros(1 + classes, dtype=torch.long))

    @torch.no_grad()
    def remember(self, features: tuple[Tensor, Tensor], right: Tensor, count: int) -> None:
        """Put so many random voxels of each class, or all there are, into the memory: the mean of
        both networks' projections.

        Args:
            features: (N, channels, *spatial) of either network.
            right: (N, 1 + K, *spatial), where both are right about the class.
        """
        rows = [vectors(its) for its in features]
        with evaluating(self.projections):
            for k, mask in enumerate(vectors(right).T):
                at = mask.nonzero()[:, 0]
                at = at[chosen(len(at), count, at.device)]
                first, second = (
                    project(of[at]).float()
                    for project, of in zip(self.projections, rows, strict=True)
                )
                self.memory[k] = torch.cat([(first + second) / 2, self.memory[k]])[:REMEMBERED]
                self.held[k] = (self.held[k] + len(at)).clamp(max=REMEMBERED)

    def forward(
        self, features: tuple[Tensor, Tensor], agreed: Tensor, sure: Tensor, most: int
    ) -> Tensor:
        """Cross-entropy of the first network's correlations to the second's, averaged over the
        surest voxels of each class; both have a gradient. 0 with gradient 0 if there are none.

        Args:
            features: (N, channels, *spatial) of either network.
            agreed: (N, 1 + K, *spatial), where both predict the class.
            sure: (N, 1, *spatial), how sure they are.
            most: number of voxels of a class.
        """
        masks, sure = vectors(agreed), vectors(sure)[:, 0]
        somewhere = masks.any(1)
        masks, sure, value = masks[somewhere], sure[somewhere], 0 * features[0].float().sum()
        classes = zip(self.memory, self.held.tolist(), strict=True)
        known = [memory[:held] for memory, held in classes if held > 1]
        of_classes = [surest(mask, sure, most) for mask in masks.T]
        at = torch.cat([its for its in of_classes if len(its) > 1] or [masks.new_zeros(0).long()])
        if not known or not len(at):
            return value
        found = []
        for its, project, predict in zip(features, self.projections, self.predictions, strict=True):
            of_voxels = predict(project(vectors(its)[somewhere]))[at].float()
            with torch.autocast(of_voxels.device.type, enabled=False):
                likeness = of_voxels @ torch.cat(known).T
            found.append((likeness / TEMPERATURE).softmax(1))
        first, second = found
        return -(second * (first + 1e-8).log()).sum(1).mean()


def chosen(number: int, count: int, device: torch.device) -> Tensor:
    """So many of 0 .. number - 1 at random, or all."""
    return torch.randperm(number, device=device)[:count]


def surest(mask: Tensor, sure: Tensor, most: int) -> Tensor:
    """Where the mask (M,) is true, at most so many places, the surest."""
    at = mask.nonzero()[:, 0]
    return at[sure[at].argsort(descending=True, stable=True)[:most]]
