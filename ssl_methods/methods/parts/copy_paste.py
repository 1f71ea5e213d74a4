"""Copy-paste both ways: labeled and unlabeled images in one, and the loss on either's region.

Bai et al., CVPR 2023 (BCP): equations and, for the masked losses, `mix_loss` of the code.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_methods import losses
from ssl_methods.methods.base import LossTerms, Method, Term
from ssl_methods.methods.parts.confident import mean_over
from ssl_methods.methods.parts.summing import summed


class Mix(NamedTuple):
    """Labeled and unlabeled images that are mixed in pairs, and where the labeled ones are seen."""

    labeled: Tensor  # (pairs,) int64
    unlabeled: Tensor  # (pairs,) int64
    region: Tensor  # (*spatial) float32: 1 where the labeled image is seen, else 0


def outside_cuboid(images: Tensor, ratio: float) -> Tensor:
    """0 in a cuboid of ``ratio`` of each side at a random place, 1 outside: float32, (*spatial).

    Drawn and made on the device of the images (N, C, *spatial), without a transfer from it.
    """
    inside = torch.ones(images.shape[2:], device=images.device)
    for axis, size in enumerate(inside.shape):
        side = int(size * ratio)
        start = torch.randint(size - side + 1, (1,), device=images.device)
        place = torch.arange(size, device=images.device) - start
        within = (place >= 0) & (place < side)
        inside = (inside.movedim(axis, -1) * within).movedim(-1, axis)
    return 1 - inside


def paste(seen: Tensor, other: Tensor, region: Tensor) -> Tensor:
    """``seen`` where ``region`` is 1, ``other`` where it is 0; images or labels alike."""
    return region * seen + (1 - region) * other


def both_ways(labeled: int, unlabeled: int, outside: Tensor) -> tuple[Mix, Mix]:
    """The mixes of a batch: labeled outside the cuboid, and labeled inside it; equally many.

    The first halves of both batches meet in the one, the second halves in the other. Every image
    is used: the smaller batch is repeated, and of an odd number the middle one is used in both.
    """
    count = max(labeled, unlabeled)
    order, half = torch.arange(count, device=outside.device), (count + 1) // 2
    first, second = order[:half], order[-half:]
    return (
        Mix(first % labeled, first % unlabeled, outside),
        Mix(second % labeled, second % unlabeled, 1 - outside),
    )


def mixed_images(images: Tensor, others: Tensor, mixes: tuple[Mix, Mix]) -> Tensor:
    """Labeled images and others mixed: the first mix's pairs, then the second's."""
    return torch.cat(
        [paste(images[mix.labeled], others[mix.unlabeled], mix.region) for mix in mixes]
    )


def seen_by(network: nn.Module, images: Tensor, passes: int) -> Tensor:
    """The first output for all images, in so many passes with batch statistics of their own."""
    return torch.cat([network(part)[0] for part in images.chunk(passes)])


def region_terms(
    method: Method, logits: Tensor, target: Tensor, region: Tensor, weight: float = 1.0
) -> LossTerms:
    """Cross-entropy and Dice where region (*spatial) is 1, with the weights of the settings.

    Logits and target: (N, K, *spatial). The cross-entropy is a mean over the region, 0 if it is
    empty.
    """
    config, terms = method.config, {}
    if config.ce_weight:
        values = losses.cross_entropies(logits, target, method.classes)
        terms["cross_entropy"] = Term(mean_over(values, region), weight * config.ce_weight)
    if config.dice_weight:
        value = method.dice(method.classes.probability(logits), target, region)
        terms["dice"] = Term(value, weight * config.dice_weight)
    return terms


def both_ways_terms(
    method: Method,
    logits: Tensor,
    mixes: tuple[Mix, Mix],
    labels: Tensor,
    guesses: Tensor,
    weight: float,
) -> LossTerms:
    """``region_terms`` summed over the two mixes, on labels; and, as ``pseudo_``, on guesses.

    Logits: of the first mix's images, then the second's. ``weight`` is that of the guesses.
    """
    known, guessed = [], []
    for z, (labeled, unlabeled, region) in zip(logits.chunk(2), mixes, strict=True):
        known.append(region_terms(method, z, labels[labeled], region))
        guessed.append(region_terms(method, z, guesses[unlabeled], 1 - region, weight))
    pseudo = {f"pseudo_{name}": term for name, term in summed(*guessed).items()}
    return summed(*known) | pseudo
