"""Mean shape: a control that predicts the average of the labeled masks, whatever the image.

Loss: none; nothing is trained. With y_i the mask of labeled case i of n, stretched to one common
grid, p = 1/n sum_i y_i, stretched to the size of the image: a voxel is foreground where more than
half of the labeled cases have foreground at that relative position. What it scores is what position
alone gives; a method that reads the image should beat it.

Defaults: a grid of 64 voxels along each axis (own choice: fine enough for organs, small on disk);
linear interpolation. The settings of the losses, which every method has, are unused.

Deviations: none; there is no paper. No registration: cases are laid over one another corner to
corner, so on scans that are cropped around the organ it knows more than on whole ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ssl_methods.methods.base import MakeNetwork, Method

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ssl_methods.config import MethodConfig, TrainingConfig
    from ssl_methods.methods.base import Loss

GRID = 64


class MeanShape(Method):
    """One buffer, (1, K, *grid): the share of labeled cases with foreground there."""

    title, family, marker = "Mean shape", "control", "P"
    role = "control"
    whole_image = True
    average: Tensor

    def __init__(self, config: MethodConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        grid = (GRID,) * make_network.dimensions
        self.register_buffer("average", torch.zeros(1, make_network.classes, *grid))

    def before_training(self, labels: Iterable[Tensor]) -> None:
        grid = self.average.shape[2:]
        self.average.copy_(torch.stack([stretched(label[None], grid) for label in labels]).mean(0))

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        return []

    def predict(self, image: Tensor) -> Tensor:
        # on the CPU, so that every device gives the same voxels
        shape = stretched(self.average.cpu(), image.shape[2:])
        return shape.to(image.device).repeat(len(image), *(1,) * (image.ndim - 1))


def stretched(masks: Tensor, size: Sequence[int]) -> Tensor:
    """(N, K, *spatial) on a grid of another size, corner laid on corner; in 0..1."""
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    return functional.interpolate(masks.float(), tuple(size), mode=mode).clamp(0, 1)
