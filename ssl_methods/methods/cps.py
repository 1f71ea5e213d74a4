"""CPS: two networks of one kind, each learns the other's hard predictions for unlabeled images.

Chen, Yuan, Zeng, Wang, "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision", CVPR
2021; for volumes as in the SSL4MIS code. z1, z2 are the logits of the two networks on one image,
y1 = [z1 > 0], y2 = [z2 > 0] their labels, without gradient and whatever their confidence:

    L = L_supervised(z1) + L_supervised(z2) + lambda(t) * mean_u (CE(z1, y2) + CE(z2, y1))

Each term is a sum over the networks, so that each trains as it would alone. The first one predicts.
Cost: two networks, one forward pass each.

Defaults: weight 0.1 (SSL4MIS code).

Deviations
- Paper: cross supervision on labeled and unlabeled images, with a constant weight; SSL4MIS, and
  here: on unlabeled images, with a weight that rises (in 200 steps: `as_released`).
- SSL4MIS: Dice of the background too, rate (1 - t/t_max)^0.9: `as_released`.
- SSL4MIS: Kaiming and Xavier initialisation; here two draws of the network's own.
- Two optimisers of equal settings there are one over both networks here: the same steps.
- With weight 0 the first network makes the steps of `supervised`, with other draws of dropout.
"""

from __future__ import annotations

from typing import ClassVar

from ssl_methods.config import RampedConfig, largest_weight
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
from ssl_methods.methods.parts.summing import summed
from ssl_methods.methods.parts.two_networks import cross_supervision


class CPSConfig(SSL4MISConfig):
    """Settings of cross pseudo supervision."""

    weight: float = largest_weight(0.1, "SSL4MIS code")


class CPS(Method):
    """Two networks that differ in their initial weights and their dropout."""

    title, family, marker = "CPS", "several networks", "o"
    Config: ClassVar[type[RampedConfig]] = CPSConfig
    uses_unlabeled = True
    config: RampedConfig

    def __init__(self, config: RampedConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.second = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labeled_images), self.images(batch)
        views = [self.network(images)[0], self.second(images)[0]]
        terms = summed(*(self.segmentation_terms(z[:labeled], batch.labels) for z in views))
        if len(images) > labeled:
            value = cross_supervision(views[0][labeled:], views[1][labeled:], self.classes)
            terms["cross_supervision"] = Term(value, unlabeled_weight(self.config, progress))
        return terms
