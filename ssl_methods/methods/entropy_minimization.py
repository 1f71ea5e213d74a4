"""Entropy minimisation: predictions should be certain, on every image.

Grandvalet & Bengio, "Semi-supervised Learning by Entropy Minimization", NIPS 2004; for segmentation
Vu, Jain, Bucher, Cord, Pérez, "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in
Semantic Segmentation", CVPR 2019 (there `MinEnt`, the variant without adversary).

    L = L_supervised + lambda(t) * mean H(f(x)) / ln 2,   H(p) = -p ln p - (1 - p) ln(1 - p)

With K classes that exclude one another H is that of K + 1 outcomes, and ln (K + 1) divides it.
The mean is over labeled and unlabeled images, so without unlabeled images the term stays.

Defaults: weight 0.1 (SSL4MIS code).

Deviations
- ADVENT: on the images of the target domain, which have no labels; SSL4MIS, and here: on all.
- SSL4MIS adds 1e-6 within the logarithm; here the entropy is computed from logits, exactly: 4e-6
  of the term.
- SSL4MIS: the weight rises in 200 steps, Dice of the background too, rate (1 - t/t_max)^0.9:
  `as_released`.
- With weight 0 it is `supervised`, step for step.
"""

from __future__ import annotations

import math

from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import largest_weight
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig


class EntropyMinimizationConfig(SSL4MISConfig):
    """Settings of entropy minimisation."""

    weight: float = largest_weight(0.1, "SSL4MIS code", search=(0.001, 1.0))


class EntropyMinimization(Method):
    """One network; the loss adds its mean entropy."""

    title, family, marker = "Entropy minimization", "output distribution", "o"
    Config = EntropyMinimizationConfig
    uses_unlabeled = True
    config: EntropyMinimizationConfig

    def __init__(self, config: EntropyMinimizationConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        (logits,) = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[: len(batch.labeled_images)], batch.labels)
        if self.wants_unlabeled:
            value = entropy(logits, self.classes).mean()
            terms["entropy"] = Term(value, unlabeled_weight(self.config, progress))
        return terms


def entropy(logits: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Entropy of the outcomes, divided by the logarithm of their number: 0..1, (N, V, *spatial)."""
    log_p = classes.log_outcomes(logits)
    return -(log_p.exp() * log_p).sum(0) / math.log(len(log_p))
