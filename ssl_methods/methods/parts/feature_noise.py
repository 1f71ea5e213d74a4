"""Perturbations of features, under which a decoder should still say the same.

Ouali et al., CVPR 2020. Each takes and gives features (N, C, *spatial) with C channels, draws from
torch's global generator, for each image anew unless ``shared``, and perturbs in evaluation mode
too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ssl_methods.networks import EncoderDecoder


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


def with_fewer_channels(
    network: EncoderDecoder, images: Tensor, fractions: Sequence[float], first: int = 0
) -> list[Tensor]:
    """Logits of the images; then, for each fraction of the features' channels that is dropped at
    every level, of the images from the ``first``-th on.

    All are (N, K, *spatial), decoded in one pass with the same batch statistics.
    """
    features = network.encoder(images)
    later = [level[first:] for level in features]
    views = [features, *([channel_dropout(level, each) for level in later] for each in fractions)]
    logits: Tensor = network.decoders[0]([torch.cat(level) for level in zip(*views, strict=True)])[
        0
    ]
    return list(logits.split([len(view[0]) for view in views]))


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
