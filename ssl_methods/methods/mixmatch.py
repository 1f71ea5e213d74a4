"""MixMatch: sharpened mean guesses become labels, and every image is mixed with another.

Berthelot et al., "MixMatch: A Holistic Approach to Semi-Supervised Learning", NeurIPS 2019, with
dense labels. A guess q is the network's mean probability over flipped noisy copies, sharpened; all
images and targets are mixed with a random other, share s' = max(s, 1 - s), s ~ Beta(alpha, alpha):

    L = L_supervised(labeled, mixed) + lambda(t) * mean (f(unlabeled, mixed) - q mixed)^2

Defaults: 2 guesses, temperature 0.5, alpha 0.75 (paper). Weight 1 and noise 0.1 are chosen here,
not tuned: the paper's weights, 75 to 100 on CIFAR-10, are for one label per image.

Deviations
- No released code was run beside it: google's and a port of it were read, and sharpening, shares
  and both terms rebuilt (equal to 2e-16); its loop, for small pictures with one label, is not here.
- Augmentation for the guesses: flips of the first two axes, undone on the probability, and noise;
  the paper has shifts too. Dropout is on. Running batch statistics see these passes too.
- Each unlabeled image enters the mix once, as in the batch; in the paper, each augmented copy does.
- L_supervised adds Dice to the paper's cross-entropy, both against mixed labels.
- lambda(t) warms up as in every method here (paper: linear). Mixing, as in the paper, does not.
- Weight 0, or no unlabeled images: no mixing at all, step for step `supervised`.
- The paper predicts with an average of the weights; here with the weights themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.config import RampedConfig, setting
from ssl_methods.methods import base
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Progress, Term
from ssl_methods.methods.parts.mixup import mix, random_shares
from ssl_methods.methods.parts.sharpening import sharpen


class MixMatchConfig(RampedConfig):
    """Settings of MixMatch."""

    guesses: int = setting(2, "number of augmented copies per guess", source="paper: 2", ge=1)
    temperature: float = setting(
        0.5, "temperature of the sharpening", source="paper: 0.5", gt=0, le=1
    )
    alpha: float = setting(0.75, "alpha of Beta(alpha, alpha)", source="paper: 0.75", gt=0)
    noise: float = setting(0.1, "spread of the noise on the copies", source="chosen here", ge=0)


class MixMatch(base.Method):
    """One network; labels, guesses and images all mixed."""

    title, family, marker = "MixMatch", "pseudo-labels", "s"
    Config = MixMatchConfig
    uses_unlabeled = True
    config: MixMatchConfig

    def __init__(self, config: MixMatchConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        images, targets, labeled = self.images(batch), batch.labels, len(batch.labels)
        if len(images) > labeled:
            targets = torch.cat([targets, self.guess(batch.unlabeled_images)])
            order = torch.randperm(len(images), device=images.device)
            share = random_shares(images, self.config.alpha, len(images))
            share = torch.maximum(share, 1 - share)
            images, targets = (mix(x, x[order], share) for x in (images, targets))
        (logits,) = self.network(images)
        terms = self.segmentation_terms(logits[:labeled], targets[:labeled])
        if len(images) > labeled:
            student = self.classes.probability(logits[labeled:])
            value = self.difference(student, targets[labeled:])
            terms["consistency"] = Term(value, base.unlabeled_weight(self.config, progress))
        return terms

    @torch.no_grad()
    def guess(self, images: Tensor) -> Tensor:
        """Sharpened mean probability over flipped noisy copies, (U, K, *patch)."""
        views = []
        for _ in range(self.config.guesses):
            coins = torch.rand(2, len(images), *[1] * (images.ndim - 1), device=images.device) < 0.5
            view = flip(images + self.config.noise * torch.randn_like(images), coins)
            views.append(flip(self.classes.probability(self.network(view)[0]), coins))
        return sharpen(torch.stack(views).mean(0), self.config.temperature, self.classes)


def flip(images: Tensor, coins: Tensor) -> Tensor:
    """Mirror the first and second axis of the images whose coin (2, N, 1, ...) says so."""
    for axis, coin in enumerate(coins, start=2):
        images = torch.where(coin, images.flip(axis), images)
    return images
