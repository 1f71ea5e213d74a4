"""Layers by dimension, and changes of resolution that are deterministic on every device.

PyTorch's own 3D max pooling and linear interpolation have no deterministic backward pass on CUDA;
these give the same values (tested) and have one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssl_methods.networks.weight_gradients import Conv3d, ConvTranspose3d

Upsampling = Literal["transposed", "linear", "aligned", "nearest"]

CONV = {2: nn.Conv2d, 3: Conv3d}
DECONV = {2: nn.ConvTranspose2d, 3: ConvTranspose3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
DROPOUT = {2: nn.Dropout2d, 3: nn.Dropout3d}


def convolutions(filters_in: int, filters: int, count: int, dimensions: int) -> nn.Sequential:
    """``count`` times: 3x3 convolution, batch normalisation, ReLU."""
    layers: list[nn.Module] = []
    for first, last in pairwise([filters_in, *[filters] * count]):
        layers += [CONV[dimensions](first, last, 3, padding=1), *norm_relu(last, dimensions)]
    return nn.Sequential(*layers)


def downsample(filters_in: int, filters: int, dimensions: int) -> nn.Sequential:
    """Half the resolution by a strided convolution."""
    return nn.Sequential(
        CONV[dimensions](filters_in, filters, 2, stride=2), *norm_relu(filters, dimensions)
    )


def upsample(filters_in: int, filters: int, dimensions: int, by: Upsampling) -> nn.Sequential:
    """Double the resolution: transposed convolution, or interpolation and a 3x3 convolution."""
    if by == "transposed":
        grow: list[nn.Module] = [DECONV[dimensions](filters_in, filters, 2, stride=2)]
    else:
        grow = [Enlarge(2, by), CONV[dimensions](filters_in, filters, 3, padding=1)]
    return nn.Sequential(*grow, *norm_relu(filters, dimensions))


def head(filters: int, out_channels: int, dimensions: int) -> nn.Module:
    """A 1x1 convolution to logits."""
    return {2: nn.Conv2d, 3: Head3d}[dimensions](filters, out_channels, 1)


class Head3d(nn.Conv3d):
    """A 1x1 convolution that keeps channels-last memory as it is.

    With one output channel PyTorch takes the output for contiguous, and so its gradient, and from
    there all of the decoder's. Here it is a product over channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_contiguous(memory_format=torch.channels_last_3d):
            return super().forward(x)
        logits = functional.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias)
        return logits.movedim(-1, 1)


def norm_relu(filters: int, dimensions: int) -> list[nn.Module]:
    return [NORM[dimensions](filters), nn.ReLU(inplace=True)]


class MaxPool(nn.Module):
    """The largest of each 2x2(x2) voxels, as ``nn.MaxPool3d(2)``."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in range(2, x.ndim):
            x = x.unflatten(axis, (-1, 2)).amax(axis + 1)
        return x


class Enlarge(nn.Module):
    """A whole-number enlargement, as ``nn.Upsample``; ``aligned``: linear, with aligned corners."""

    def __init__(self, factor: int, by: Upsampling = "linear") -> None:
        super().__init__()
        self.factor, self.by = factor, by

    def forward(self, x: Tensor) -> Tensor:
        if self.factor == 1:
            return x
        for axis in range(2, x.ndim):
            if self.by == "nearest":
                x = x.repeat_interleave(self.factor, dim=axis)
            else:
                weights = self.weights(x.shape[axis], x.device)
                x = (x.movedim(axis, -1) @ weights).movedim(-1, axis)
        return x

    def weights(self, size: int, device: torch.device) -> Tensor:
        """Interpolation along one axis as a matrix (size, factor * size)."""
        identity = torch.eye(size, device=device)[None]
        return functional.interpolate(
            identity,
            scale_factor=self.factor,
            mode="linear",
            align_corners=self.by == "aligned",
        )[0]
