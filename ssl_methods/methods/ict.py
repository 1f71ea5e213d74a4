"""ICT: the student's answer to a mixed image is the same mix of the teacher's answers.

Verma, Lamb, Kannala, Bengio, Lopez-Paz, "Interpolation Consistency Training for Semi-Supervised
Learning", IJCAI 2019; for segmentation as in SSL4MIS. f' is the teacher, and each batch has one
share s ~ Beta(alpha, alpha):

    L = L_supervised + lambda(t) * mean (f(s u + (1 - s) v) - (s f'(u) + (1 - s) f'(v)))^2

Defaults: alpha 0.2, decay 0.99, weight 0.1 (SSL4MIS).

Deviations
- Each unlabeled image is mixed with the one before it (one alone, with itself), and the teacher
  sees them in one pass. SSL4MIS makes one mix of two, which the teacher sees apart: `as_released`.
- SSL4MIS: the weight rises in 200 steps, Dice of the background too, rate (1 - t/t_max)^0.9:
  `as_released`.
- SSL4MIS: two softmax channels; here one sigmoid channel, the same number.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ssl_methods.config import largest_weight, setting, teacher_decay
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.mixup import mix, random_shares
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.methods.parts.teacher import Teacher


class ICTConfig(SSL4MISConfig):
    """Settings of interpolation consistency."""

    as_released = {**SSL4MISConfig.as_released, "mixes": "pairs"}

    weight: float = largest_weight(0.1, "SSL4MIS")
    decay: float = teacher_decay(0.99, "SSL4MIS: 0.99")
    alpha: float = setting(
        0.2, "alpha of Beta(alpha, alpha)", source="SSL4MIS", gt=0, search=("log", 0.05, 2.0)
    )

    mixes: Literal["each", "pairs"] = setting(
        "each",
        "which images are mixed; each: every one with the one before it; pairs: the first half "
        "with "
        "the second",
        source="SSL4MIS code: pairs, of two images",
    )


class ICT(Method):
    """A student that sees mixed unlabeled images and a teacher that sees them apart."""

    title, family, marker = "ICT", "averaged teacher", "P"
    Config = ICTConfig
    uses_unlabeled = True
    least_patches = 2
    config: ICTConfig

    def __init__(self, config: ICTConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.teacher = Teacher(self.network, config.decay)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, unlabeled = len(batch.labeled_images), batch.unlabeled_images
        if not self.wants_unlabeled or not len(unlabeled):
            (logits,) = self.network(batch.labeled_images)
            return self.segmentation_terms(logits, batch.labels)
        share = random_shares(unlabeled, self.config.alpha, 1)
        half, apart = (len(unlabeled) + 1) // 2, self.config.mixes == "pairs"
        first = unlabeled[:half] if apart else unlabeled
        second = unlabeled[-half:] if apart else unlabeled.roll(1, 0)
        mixed = mix(first, second, share)
        (logits,) = self.network(torch.cat([batch.labeled_images, mixed]))
        guess = self.guess(first)
        target = mix(guess, self.guess(second) if apart else guess.roll(1, 0), share)
        agreement = self.difference(self.classes.probability(logits[labeled:]), target)
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        return terms | {"consistency": Term(agreement, weight_at(self.config, progress))}

    @torch.no_grad()
    def guess(self, images: Tensor) -> Tensor:
        """The teacher's probability for clean images."""
        return self.classes.probability(self.teacher(images)[0])

    def after_step(self, progress: Progress) -> None:
        self.teacher.update_parameters(self.network)
