"""Perturbations of features, under which a decoder should still say the same.

Ouali et al., CVPR 2020. Each takes and gives features (N, C, *spatial) with C channels, draws from
torch's global generator, for each image anew unless ``shared``, and perturbs in evaluation mode
too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def perturbed(
    features: Sequence[Tensor],
    noise: float,
    dropout: float,
    *,
    threshold: tuple[float, float] = (0.7, 0.9),
    as_ssl4mis: bool = False,
) -> list[list[Tensor]]:
    """The features of every level in three ways: with noise, without some channels, without the
    most active voxels. ``as_ssl4mis``: single elements are dropped instead of channels, and noise
    and threshold are the same for all images."""
    drop = functional.dropout if as_ssl4mis else channel_dropout
    return [
        [uniform_noise(level, noise, as_ssl4mis) for level in features],
        [drop(level, dropout) for level in features],
        [attention_dropout(level, *threshold, as_ssl4mis) for level in features],
    ]


def uniform_noise(features: Tensor, spread: float, shared: bool = False) -> Tensor:
    """Each element times 1 + U(-spread, spread)."""
    like = features[:1] if shared else features
    return features * (1 + torch.empty_like(like).uniform_(-spread, spread))


def channel_dropout(features: Tensor, probability: float) -> Tensor:
    """Whole channels set to 0 with this probability; the others grow to keep the mean."""
    channels = features.new_ones(features.shape[:2] + (1,) * (features.ndim - 2))
    return features * functional.dropout(channels, probability)


def without_channels(features: Sequence[Tensor], probability: float) -> list[Tensor]:
    """The features of every level, each with ``channel_dropout``."""
    return [channel_dropout(level, probability) for level in features]


def decode_together(decoder: nn.Module, views: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Logits (N, K, *spatial) of each view of the features, in one pass with the same batch
    statistics."""
    logits: Tensor = decoder([torch.cat(level) for level in zip(*views, strict=True)])[0]
    return list(logits.chunk(len(views)))


def attention_dropout(
    features: Tensor, lowest: float, highest: float, shared: bool = False
) -> Tensor:
    """Voxels of strong activation set to 0.

    Strong: the mean over channels is at least U(lowest, highest) times its largest value in that
    image.
    """
    attention = features.detach().mean(1, keepdim=True)
    largest = attention.amax(tuple(range(1, features.ndim)), keepdim=True)
    like = largest[:1] if shared else largest
    threshold = largest * torch.empty_like(like).uniform_(lowest, highest)
    return features * (attention < threshold)
