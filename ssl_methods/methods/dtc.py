"""Dual-task consistency: segmentation and level set must tell the same story, on every image.

Luo, Chen, Song, Wang, "Semi-supervised Medical Image Segmentation through Dual-task Consistency",
AAAI 2021. The level set f2 is turned back into a segmentation by the smooth inverse T⁻¹ (eq. 2);
its squared difference to the segmentation f1 is taken on labeled and unlabeled images alike (eqs.
4, 7):

    L = L_segmentation + beta * L_level_set + lambda(t) * mean (f1(x) - sigmoid(-k f2(x)))^2
    lambda(t) = weight * exp(-5 (1 - t/t_max)^2)

Defaults: k 1500, weight 1 (paper and code); beta 0.3 (code; the paper writes no factor).

Deviations
- The paper's eq. 2 has sigmoid(k z), inverted under its own eq. 1; the sign here is the code's.
- Paper and code have the Dice loss alone as L_segmentation, and the code holds lambda over 150 of
  6000 iterations: `as_released`.
- Code: a patch without foreground has T = 0, one full of it no number; here +1 and -1.
- At k = 1500 T⁻¹ is nearly a hard threshold: sigmoid' is negligible beyond |z| of 0.005, less than
  a voxel.
- With weight 0 it is `sdf_multitask`, step for step.
"""

from __future__ import annotations

from ssl_methods import level_set
from ssl_methods.config import RampedConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, Progress, Term, unlabeled_weight
from ssl_methods.methods.sdf_multitask import SdfMultitask, SdfMultitaskConfig


class DTCConfig(SdfMultitaskConfig, RampedConfig):
    """Settings of dual-task consistency."""

    as_released = {
        "ce_weight": 0.0,
        "dice_weight": 1.0,
        "ramp": "stepwise",
    }

    k: float = setting(
        1500.0,
        "steepness k of T⁻¹(z) = sigmoid(-k z)",
        source="DTC paper",
        gt=0,
        search=("log", 1.0, 5000.0),
    )


class DTC(SdfMultitask):
    """The network of `sdf_multitask`; the loss adds the agreement of its two heads."""

    title, family, marker = "DTC", "dual task", "D"
    Config = DTCConfig
    uses_unlabeled = True
    least_precision = "float32"  # T⁻¹ multiplies by k what rounding does to the level set
    config: DTCConfig

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        logits, distance = self.both_tasks(self.images(batch))
        terms = self.supervised_terms(logits[:labeled], distance[:labeled], batch)
        if self.config.weight:
            back = level_set.to_probability(distance, self.config.k, self.classes)
            agreement = self.difference(self.classes.probability(logits), back)
            terms["consistency"] = Term(agreement, unlabeled_weight(self.config, progress))
        return terms
