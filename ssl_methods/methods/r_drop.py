"""R-Drop: two passes with different dropout predict the same, on every image.

Liang, Wu, Li, Wang, Meng, Qin, Chen, Zhang, Liu, "R-Drop: Regularized Dropout for Neural Networks",
NeurIPS 2021. One network sees every image twice; p and q are its two predictions:

    L = (L_supervised(p) + L_supervised(q)) / 2 + lambda(t) * mean (KL(p || q) + KL(q || p)) / 2

The mean is over labeled and unlabeled images, so without unlabeled images the term stays. If the
network has no dropout, both passes are equal and the term is 0: it does nothing.

Defaults: weight 4 (SSL4MIS code).

Deviations
- Paper: distributions over classes; here one Bernoulli distribution per class and voxel, averaged.
- Paper: L_supervised summed over both passes; here their mean, so that its size is that of every
  other method (a weight of 4 here is one of 8 there). Paper: constant weight; here it warms up.
- SSL4MIS sums the supervised losses and takes the mean of the KL over classes too, so that its 4
  counts a quarter of the 4 here: `as_released`, with its ramp, rate and Dice of the background.
- SSL4MIS trains two networks, compares them on unlabeled images only, and takes their softmax over
  a spatial axis instead of the classes; here it is the paper's method in both recipes: 50 % of a
  step's loss, 1.6 times the largest component of its gradient.
- Dropout is the network's own; batch normalisation sees both passes as one batch.
- With weight 0 there is one pass: it is `supervised`, step for step.
"""

from __future__ import annotations

import torch
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


class RDropConfig(SSL4MISConfig):
    """Settings of R-Drop."""

    as_released = {**SSL4MISConfig.as_released, "ce_weight": 1.0, "dice_weight": 1.0, "weight": 2.0}

    weight: float = largest_weight(4.0, "SSL4MIS code", search=(0.1, 10.0))


class RDrop(Method):
    """One network, seen through two dropout masks."""

    title, family, marker = "R-Drop", "several networks", "D"
    Config = RDropConfig
    uses_unlabeled = True
    config: RDropConfig

    def __init__(self, config: RDropConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labeled_images), self.images(batch)
        if not self.wants_unlabeled:
            (logits,) = self.network(images)
            return self.segmentation_terms(logits, batch.labels)
        (logits,) = self.network(torch.cat([images, images]))
        p, q = logits.chunk(2)
        left = self.segmentation_terms(p[:labeled], batch.labels)
        right = self.segmentation_terms(q[:labeled], batch.labels)
        terms = {key: Term((a.value + right[key].value) / 2, a.weight) for key, a in left.items()}
        value = symmetric_divergence(p, q, self.classes).mean()
        return terms | {"consistency": Term(value, unlabeled_weight(self.config, progress))}


def symmetric_divergence(left: Tensor, right: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """(KL(p || q) + KL(q || p)) / 2 of p, q given as logits, (N, V, *spatial), float32, >= 0."""
    log_p, log_q = classes.log_outcomes(left), classes.log_outcomes(right)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(0) / 2
