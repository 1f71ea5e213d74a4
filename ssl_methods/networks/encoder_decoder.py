"""The V-Net and the U-Net: an encoder, one or several decoders on it, heads on each decoder.

V-Net: Milletari et al. (3DV 2016) in the form of the released DTC code: strided convolutions,
summed skip connections, no residual blocks. At 16 filters, 5 levels, 3D and two heads it has the
paper's 9.44 M parameters. U-Net: Ronneberger et al. (MICCAI 2015), in 3D Çiçek et al. (MICCAI
2016): max pooling, concatenated skip connections, two convolutions per level. Both with batch
normalisation, and dropout of whole channels after the deepest and the last block.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from ssl_methods.networks.layers import (
    DROPOUT,
    Enlarge,
    MaxPool,
    Upsampling,
    convolutions,
    downsample,
    head,
    upsample,
)

CONVOLUTIONS = {"vnet": (1, 2, 3), "unet": (2,)}  # per level from the finest; the last, below it


class Encoder(nn.Module):
    """Image (N, C, *spatial) to features of every level, finest first; dropout on the deepest."""

    def __init__(
        self, name: str, in_channels: int, filters: Sequence[int], dimensions: int, dropout: float
    ) -> None:
        super().__init__()
        pooled, depth = name == "unet", depths(name, len(filters))
        self.blocks = nn.ModuleList(
            convolutions(below if pooled or level == 0 else here, here, depth[level], dimensions)
            for level, (below, here) in enumerate(pairwise([in_channels, *filters]))
        )
        self.down = nn.ModuleList(
            MaxPool() if pooled else downsample(fine, coarse, dimensions)
            for fine, coarse in pairwise(filters)
        )
        self.dropout = DROPOUT[dimensions](dropout)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.blocks[0](image)]
        for down, block in zip(self.down, self.blocks[1:], strict=True):
            features.append(block(down(features[-1])))
        features[-1] = self.dropout(features[-1])
        return features


class Decoder(nn.Module):
    """Features of every level to logits at full resolution: per scale (finest first), per head.

    ``features``: after them, what the finest heads see.
    """

    def __init__(
        self,
        name: str,
        out_channels: int,
        filters: Sequence[int],
        dimensions: int,
        dropout: float,
        upsampling: Upsampling,
        heads: int,
        scales: int,
        features: bool,
    ) -> None:
        super().__init__()
        self.gives_features = features
        self.concatenates, depth = name == "unet", depths(name, len(filters))
        self.up = nn.ModuleList(
            upsample(coarse, fine, dimensions, upsampling) for fine, coarse in pairwise(filters)
        )
        self.blocks = nn.ModuleList(
            convolutions(2 * f if self.concatenates else f, f, n, dimensions)
            for f, n in zip(filters[:-1], depth[:-1], strict=True)
        )
        self.dropout = DROPOUT[dimensions](dropout)
        self.heads = nn.ModuleList(
            head(filters[scale], out_channels, dimensions)
            for scale in range(scales)
            for _ in range(heads)
        )
        self.enlarge = nn.ModuleList(Enlarge(2**scale) for scale in range(scales))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        *skips, x = features
        outputs: list[Tensor] = []
        for up, block, skip in zip(
            reversed(self.up), reversed(self.blocks), reversed(skips), strict=True
        ):
            x = up(x)
            x = block(torch.cat([x, skip], dim=1) if self.concatenates else x + skip)
            outputs.insert(0, x)
        per_scale, logits = len(self.heads) // len(self.enlarge), []
        seen = [self.dropout(output) for output in outputs[: len(self.enlarge)]]
        for scale, enlarge in enumerate(self.enlarge):
            heads = self.heads[scale * per_scale : (scale + 1) * per_scale]
            logits += [enlarge(to_logits(seen[scale])) for to_logits in heads]
        return [*logits, seen[0]] if self.gives_features else logits


class EncoderDecoder(nn.Module):
    """Image to a list of logits (N, out_channels, *spatial): per decoder, per scale, per head.

    Each spatial size must be a multiple of 2 ** (levels - 1).

    Args:
        in_channels: image channels C.
        out_channels: foreground classes K (one logit each; no background channel).
        heads: 1x1 convolutions on each decoder (and scale).
        name: ``vnet`` or ``unet``.
        width: filters at full resolution, doubled at each level.
        levels: number of resolutions.
        dimensions: 2 or 3.
        dropout: probability of dropping a channel; 0 for none.
        decoders: how each decoder doubles the resolution; one decoder per entry.
        scales: resolutions with heads, from the finest (deep supervision), at most levels - 1.
        features: whether each decoder's logits are followed by what its finest heads see: the
            features (N, width, *spatial) of its last block, after dropout.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        heads: int = 1,
        *,
        name: str = "vnet",
        width: int = 16,
        levels: int = 5,
        dimensions: int = 3,
        dropout: float = 0.5,
        decoders: Sequence[Upsampling] = ("transposed",),
        scales: int = 1,
        features: bool = False,
    ) -> None:
        super().__init__()
        filters = [width * 2**level for level in range(levels)]
        self.encoder = Encoder(name, in_channels, filters, dimensions, dropout)
        self.decoders = nn.ModuleList(
            Decoder(name, out_channels, filters, dimensions, dropout, by, heads, scales, features)
            for by in decoders
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = self.encoder(image)
        return [output for decoder in self.decoders for output in decoder(levels)]


def depths(name: str, levels: int) -> list[int]:
    """Convolutions at each level, from the finest."""
    pattern = CONVOLUTIONS[name]
    return [pattern[min(level, len(pattern) - 1)] for level in range(levels)]


VNet = partial(EncoderDecoder, name="vnet")
