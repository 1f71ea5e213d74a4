"""CrossMatch: features with few and with many channels dropped teach and are taught, on two views.

Zhao, Wang, Ding, "CrossMatch: Enhance Semi-Supervised Medical Image Segmentation with Perturbation
Strategies and Knowledge Distillation", IEEE JBHI 2024. s1, s2, p and D are as in `unimatch`; w, m
are decoded from the plain image's features without 1/4 and without 3/4 of their channels, w2, m2
from those of the second strong view; p, w, m without gradient where they teach:

    L = L_supervised + lambda(t) * (D(s1, p1) / 4 + D(s2, p2) / 4 + K)
    K = 0.7 * (D(w, p) + D(m, p) + D(w2, p2) + D(m2, p2)) / 4 + 0.3 * (D(w2, w) + D(m2, m)) / 2

In its box, a strong view's target is what passes of their own, in training mode, say of the image
there. Defaults: all of the code for LA but the strength, 1 (chosen here).

Deviations
- Code (`LA`): half of the sum, no warm-up, AdamW at 0.001, rate (1 - t/t_max)^0.9; the confidence
  is ln 2 * (0.75 + 0.25 exp(-5 (1 - t/t_max)^2)), 0.52 to 0.67: `as_released`. There t_max is 17000
  of 14000 iterations, so that the rate ends at 0.21 of the first; here at 0.
- Code: boxes show images of a second unlabeled batch; here each the one before it in its batch.
- Code: the axes of a box are swapped, which cuts it off where the patch is shorter.
- Code: a strong view has a bias field, another gamma, blur; here the changes of `unimatch`.
- Its 2D code (`ACDC`) has confidence 0.95 and half of K: not followed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ssl_methods.config import TrainingConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.boxed_views import BoxedViewsConfig, boxed_views
from ssl_methods.methods.parts.confident import confident_dice
from ssl_methods.methods.parts.feature_noise import with_fewer_channels
from ssl_methods.methods.parts.modes import evaluating
from ssl_methods.networks import EncoderDecoder
from ssl_methods.schedules import entropy_threshold


class CrossMatchConfig(BoxedViewsConfig):
    """Settings of CrossMatch."""

    as_released = {"ce_weight": 0.25, "dice_weight": 0.25, "weight": 0.5, "ramp": "constant"}
    as_released |= {"threshold": "rising"}

    confidence: float = setting(
        0.75, "least probability of a pseudo-label", source="code: 0.75", ge=0.5, lt=1
    )
    threshold: Literal["fixed", "rising"] = setting(
        "fixed",
        "what a pseudo-label's probability must reach; fixed: the confidence; rising: ln 2 of what "
        "rises from it towards 1",
        source="code: rising",
    )
    gap: float = setting(
        0.5, "difference of the fractions of dropped channels", source="code: 0.5", ge=0, lt=1
    )
    share: float = setting(
        0.3, "share in K of what perturbed features teach", source="code: 0.3", ge=0, le=1
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """AdamW at 0.001, the rate falls as (1 - t/t_max)^0.9."""
        loop = {"optimizer": "adamw", "learning_rate": 0.001, "weight_decay": 1e-4}
        loop |= {"learning_rate_schedule": "poly", "learning_rate_power": 0.9}
        return super().released_training(training).model_copy(update=loop)


class CrossMatch(Method):
    """One network; each of two images is decoded from all, from most and from few channels."""

    title, family, marker = "CrossMatch", "pseudo-labels", "v"
    Config = CrossMatchConfig
    uses_unlabeled = True
    least_patches = 2
    config: CrossMatchConfig

    def __init__(self, config: CrossMatchConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network: EncoderDecoder = make_network.in_parts()

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        config, labeled, images = self.config, len(batch.labels), batch.unlabeled_images
        if not self.wants_unlabeled or not len(images):
            (logits,) = self.network(batch.labeled_images)
            return self.segmentation_terms(logits, batch.labels)
        before = images.roll(1, 0)
        with torch.no_grad():
            aside = [self.network(before)[0]]
            aside += self.three_ways(torch.cat([batch.labeled_images, before]), labeled)[1:]
        plain, w, m = self.three_ways(self.images(batch), labeled)
        views, *boxes = boxed_views(images, config.strength)
        seen, w2, m2 = self.three_ways(views, len(images))
        others = [self.classes.probability(z) for z in aside]
        guesses = [self.classes.probability(z.detach()) for z in (plain[labeled:], w, m)]
        p, p1 = guesses[0], torch.where(boxes[0], others[0], guesses[0])
        p2, of_w, of_m = (torch.where(boxes[1], *x) for x in zip(others, guesses, strict=True))
        (s1, s2), weight = seen.chunk(2), weight_at(config, progress)
        rising = entropy_threshold(config.confidence, progress.t - 1, progress.t_max * 17 / 14)
        least = rising if config.threshold == "rising" else config.confidence

        def taught(*pairs: tuple[Tensor, Tensor]) -> Tensor:
            over, classes = config.dice_over, self.classes
            dices = [confident_dice(config, z, q, least, over, classes) for z, q in pairs]
            return torch.stack(dices).mean()

        by_plain = taught((w, p), (m, p), (w2, p2), (m2, p2))
        value = by_plain.lerp(taught((w2, of_w), (m2, of_m)), config.share)
        terms = self.segmentation_terms(plain[:labeled], batch.labels)
        terms["strong_views"] = Term(taught((s1, p1), (s2, p2)), weight / 2)
        return terms | {"distillation": Term(value, weight)}

    def three_ways(self, images: Tensor, first: int) -> list[Tensor]:
        """``with_fewer_channels``: all, most, and few of them. The decoder's own dropout is off."""
        fractions = [(1 - self.config.gap) / 2, (1 + self.config.gap) / 2]
        with evaluating(self.network.decoders[0].get_submodule("dropout")):
            return with_fewer_channels(self.network, images, fractions, first)
