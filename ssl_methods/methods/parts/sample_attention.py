"""Attention within an image and across the images of a batch, on features of low resolution."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.networks import EncoderDecoder

HEADS = 4


class SampleAttention(nn.Module):
    """Features (N, C, *spatial) to features, of which every voxel has seen the others of its image,
    then those at its place in the other images; as they are in evaluation mode.

    Two transformer layers (Vaswani et al., NeurIPS 2017) of four heads, as CAML's code has them
    (Gao et al., MICCAI 2023).

    Args:
        channels: C, a multiple of 4.
        dropout: its rate in either layer.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.within, self.across = (
            nn.TransformerEncoderLayer(channels, HEADS, 4 * channels, dropout) for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        voxels: Tensor = self.within(features.flatten(2).permute(2, 0, 1))  # (voxels, N, C)
        images: Tensor = self.across(voxels.transpose(0, 1))  # (N, voxels, C)
        return images.transpose(1, 2).reshape(features.shape)


def add_attention(network: EncoderDecoder, config: NetworkConfig) -> None:
    """Let the features of its deepest level but one pass ``SampleAttention``, in place.

    Raises UserError if their number cannot be shared out among the heads.
    """
    channels, blocks = config.width * 2 ** (config.levels - 2), network.encoder.blocks
    if channels % HEADS:
        raise UserError(
            f"network: the level above the deepest has {channels} features, which {HEADS} heads of "
            "attention cannot share; raise network.width or network.levels"
        )
    blocks[-2] = nn.Sequential(blocks[-2], SampleAttention(channels, config.dropout))
