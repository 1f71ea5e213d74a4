"""Weight gradients of 3D convolutions as matrix products, where cuDNN's are slow: float32 on a GPU.

In float32 without TF32 cuDNN's deterministic kernels compute the whole gradient of a weight in a
handful of blocks, so that most of the GPU waits. As products of a matrix of neighbourhoods with the
output's gradient they are as deterministic, and a step of DTC at the paper's settings takes 89 ms
in place of 333 (H200; docs/explanation/decisions.md). The other passes stay cuDNN's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.backends import cudnn
from torch.nn import functional

LARGEST = 2**26  # elements of a matrix of neighbourhoods: 256 MB
ATEN = torch.ops.aten


class Conv3d(nn.Conv3d):
    """``nn.Conv3d``; its weight gradient as products where that is quicker."""

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kernel_size[0], self.stride[0], self.padding[0]
        if kind in ((3, 1, 1), (2, 2, 0)) and is_quicker(x):
            return Convolution.apply(x, self.weight, self.bias, False)
        return super().forward(x)


class ConvTranspose3d(nn.ConvTranspose3d):
    """``nn.ConvTranspose3d(..., 2, stride=2)``; its weight gradient likewise."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if is_quicker(x):
            return Convolution.apply(x, self.weight, self.bias, True)
        return super().forward(x, output_size)


def is_quicker(x: Tensor) -> bool:
    """Whether cuDNN would compute in float32 on a GPU, TF32 not allowed."""
    return (
        x.is_cuda
        and x.dtype == torch.float32
        and not cudnn.allow_tf32
        and not torch.is_autocast_enabled("cuda")
        and not torch.compiler.is_compiling()
    )


class Convolution(torch.autograd.Function):
    """A convolution of 3 (stride 1, padding 1) or 2 (stride 2), or a transposed one of 2."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.transposed = transposed
        if transposed:
            return functional.conv_transpose3d(x, weight, bias, stride=2)
        stride, padding = STRIDE_AND_PADDING[weight.shape[-1]]
        return functional.conv3d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding = STRIDE_AND_PADDING[weight.shape[-1]]
        of_input = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_input, _, _ = ATEN.convolution_backward(
                gradient, x, weight, None, [stride] * 3, [padding] * 3, [1] * 3, ctx.transposed,
                [0] * 3, 1, [True, False, False],
            )  # fmt: skip
        if ctx.needs_input_grad[1]:
            wide, narrow = (gradient, x) if ctx.transposed else (x, gradient)
            of_weight = products(wide, narrow, weight.shape[-1])
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3, 4))
        return of_input, of_weight, of_bias, None


STRIDE_AND_PADDING = {3: (1, 1), 2: (2, 0)}


def products(wide: Tensor, narrow: Tensor, kernel: int) -> Tensor:
    """The gradient of a weight: sums over voxels of a neighbourhood times what it was mapped to.

    Args:
        wide: (N, I, ...) the side of the neighbourhoods of ``kernel`` 3 (with their neighbours, so
            as large as ``narrow``) or 2 (apart, so twice as large).
        narrow: (N, O, ...).

    Returns:
        (O, I, kernel, kernel, kernel).
    """
    features, outputs = wide.shape[1], narrow.shape[1]
    wide, narrow = map(
        features_last, (functional.pad(wide, (1,) * 6) if kernel == 3 else wide, narrow)
    )
    depth, height, width = narrow.shape[1:4]
    columns = kernel**3 * features
    sums = narrow.new_zeros(outputs, columns)
    planes = max(1, LARGEST // (height * width * columns))
    stride = STRIDE_AND_PADDING[kernel][0]
    for volume, targets in zip(wide, narrow, strict=True):
        for first in range(0, depth, planes):
            target = targets[first : first + planes]
            seen = neighbourhoods(volume[first * stride :], target.shape[:3], kernel, stride)
            sums.addmm_(target.reshape(-1, outputs).T, seen.reshape(-1, columns))
    return sums.view(outputs, *(kernel,) * 3, features).permute(0, 4, 1, 2, 3)


def neighbourhoods(volume: Tensor, size: tuple[int, ...], kernel: int, stride: int) -> Tensor:
    """(*size, kernel, kernel, kernel * I) views into a contiguous volume (D, H, W, I)."""
    along = volume.stride()
    return volume.as_strided(
        (*size, kernel, kernel, kernel * volume.shape[-1]),
        (*(stride * it for it in along[:3]), along[0], along[1], 1),
    )


def features_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous()
