"""DMD: two networks of one kind, whose softened predictions agree in the sense of Dice.

Xie, Yin, Li, Wang, "Deep Mutual Distillation for Semi-supervised Medical Image Segmentation",
MICCAI 2023. z1, z2 are the logits of the two networks, on labeled and unlabeled images alike; the
gradient of the second Dice loss flows to both:

    L = L_supervised(z1) + L_supervised(z2) + weight * Dice(sigmoid(z1 / T), sigmoid(z2 / T))

T > 1 makes both less sure of what they teach. The first network predicts.
Cost: two networks, one forward pass each.

Defaults: weight 4 from the first iteration on, T 2 (paper with 8 labeled scans; code).

Deviations
- Paper and code: the Dice loss alone as L_supervised; T 1.93 with 16 labeled scans (paper):
  `as_released`, which has it with more than 16 too, where neither says anything.
- Paper: section 3.3 gives weight 1 in one place, 4 in all others, as the code does; here it is 4.
- Code: it does not run with SASSNet's network and labels, to which it is said to be added: that has
  two outputs, and for want of a channel axis the Dice loss would meet every prediction with every
  label: 30 % of a step's loss, 26 % of the largest component of its gradient. Here each meets its
  own.
- Paper: several classes exclude one another; so here with `network.classes: exclusive`.
- Without unlabeled images the networks agree on the labeled ones.
- With weight 0 the first network makes the steps of `supervised`, with other draws of dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ssl_methods import losses
from ssl_methods.config import RampedConfig, largest_weight, setting
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.summing import summed


class DMDConfig(RampedConfig):
    """Settings of deep mutual distillation."""

    as_released = {"ce_weight": 0.0, "dice_weight": 1.0}

    weight: float = largest_weight(4.0, "DMD paper, code: 4", search=(0.5, 10.0))
    ramp: Literal["gaussian", "stepwise", "constant"] = setting(
        "constant", "how the weight rises; in the DMD code not at all", source="DMD code"
    )
    temperature: float = setting(
        2.0,
        "what the logits are divided by before they are compared",
        source="DMD paper, code: 2",
        gt=0,
        search=("linear", 1.0, 4.0),
    )

    @classmethod
    def released(cls, labeled: int | None) -> Mapping[str, Any]:
        """The temperature is 1.93 with 16 labeled cases (paper), 2 with fewer."""
        many = labeled is not None and labeled >= 16
        return {**cls.as_released, "temperature": 1.93} if many else cls.as_released


class DMD(Method):
    """Two networks that differ in their initial weights and their dropout."""

    title, family, marker = "DMD", "several networks", "v"
    Config = DMDConfig
    uses_unlabeled = True
    config: DMDConfig

    def __init__(self, config: DMDConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.second = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labeled_images), self.images(batch)
        views = [self.network(images)[0], self.second(images)[0]]
        terms = summed(*(self.segmentation_terms(z[:labeled], batch.labels) for z in views))
        if self.wants_unlabeled:
            soft = [self.classes.probability(z.float() / self.config.temperature) for z in views]
            # Squared denominators whatever the supervised form: with sums, agreement is no minimum.
            value = losses.dice(soft[0], soft[1])
            terms["distillation"] = Term(value, unlabeled_weight(self.config, progress))
        return terms
