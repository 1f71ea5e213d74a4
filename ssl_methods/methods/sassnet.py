"""SASSNet: a discriminator cannot tell the level sets of unlabeled images from those of labeled.

Li, Zhang, He, "Shape-Aware Semi-supervised 3D Semantic Segmentation for Medical Images", MICCAI
2020. Two heads as in `sdf_multitask`; the discriminator D sees the predicted level set
s = tanh(z) and the image. In each iteration the network takes one step, then D:

    L   = L_segmentation + beta * mean (s - T(y))^2 + lambda(t) * CE(D(s_u, x_u), labeled)
    L_D = CE(D(s, x), labeled or unlabeled)

Defaults: beta 0.3, weight 0.01 for 16 labeled scans, D's Adam 1e-4 with betas 0.9, 0.99 (code).

Deviations
- Code: the Dice loss alone as L_segmentation; weight 0.01 with 16 labeled cases, 0.015 with 8, held
  for 150 of 6000 iterations; D has 64 filters (here 4 per filter of the network): `as_released`.
- Code: D averages its last features as one patch size makes them; here over any patch (logits
  within 1e-7 at 112 x 112 x 80).
- Code: D learns from a second pass of the network, after its step and without dropout; here from
  the maps of the step itself, one pass less: 0.3 % of D's loss, 28 % of its gradient (medians of
  100 steps of a small network).
- With weight 0 it is `sdf_multitask`, step for step, and D is not trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_methods.config import largest_weight
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Progress
from ssl_methods.methods.parts.against_discriminator import AgainstDiscriminator
from ssl_methods.methods.parts.discriminator import AdversarialConfig, make_discriminator
from ssl_methods.methods.sdf_multitask import SdfMultitask, SdfMultitaskConfig


class SASSNetConfig(SdfMultitaskConfig, AdversarialConfig):
    """Settings of the shape-aware network."""

    as_released = {**SdfMultitaskConfig.as_released, "ramp": "stepwise", "discriminator_width": 64}

    weight: float = largest_weight(0.01, "SASSNet code: 0.01", search=(0.001, 0.1))

    @classmethod
    def released(cls, labeled: int | None) -> Mapping[str, Any]:
        """The weight is 0.015 with 8 labeled cases (README); with fewer, where it says nothing, as
        with 8."""
        few = labeled is not None and labeled <= 8
        return {**cls.as_released, "weight": 0.015} if few else cls.as_released


class SASSNet(AgainstDiscriminator, SdfMultitask):
    """The network of `sdf_multitask`, and a discriminator of its level sets."""

    title, family, marker = "SASSNet", "level set", "X"
    Config = SASSNetConfig
    uses_unlabeled = True
    config: SASSNetConfig

    def __init__(self, config: SASSNetConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.discriminator = make_discriminator(config, make_network)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        logits, level_sets = self.both_tasks(self.images(batch))
        terms = self.supervised_terms(logits[:labeled], level_sets[:labeled], batch)
        return terms | self.adversarial_terms(level_sets, batch, progress)
