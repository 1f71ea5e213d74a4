"""Segmentation and level set side by side, on labeled images only.

The second head regresses the signed distance map: "Seg + LSF" in the ablation of the DTC paper
(Luo et al., AAAI 2021, table 1), and SASSNet (Li et al., MICCAI 2020) without its discriminator.

    L = L_segmentation + beta * mean (tanh(z) - T(y))^2

Defaults: beta 0.3 (DTC and SASSNet code; the DTC paper writes no factor, i.e. 1).

Deviations
- The paper and code have the Dice loss alone as L_segmentation: `as_released`. The unified recipe
  uses the same 0.5 (cross-entropy + Dice) as every other method.
- Paper: T is computed once on the whole image; code, and the default here: on the augmented patch
  (`training.level_set_from`).
"""

from __future__ import annotations

from torch import Tensor

from ssl_methods import losses
from ssl_methods.config import MethodConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term


class SdfMultitaskConfig(MethodConfig):
    """Settings of the two supervised tasks."""

    as_released = {"ce_weight": 0.0, "dice_weight": 1.0}

    beta: float = setting(
        0.3,
        "weight of the level-set regression",
        source="DTC code: 0.3",
        ge=0,
        search=("log", 0.03, 3.0),
    )


class SdfMultitask(Method):
    """One network, two heads: segmentation logits and level set."""

    title, family, marker = "SDF multitask", "level set", "^"
    Config = SdfMultitaskConfig
    targets = frozenset({"level_set"})
    config: SdfMultitaskConfig

    def __init__(self, config: SdfMultitaskConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(2)

    def both_tasks(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segmentation logits, and level set in [-1, 1]."""
        logits, level_set = self.network(image)
        return logits, level_set.float().tanh()

    def supervised_terms(self, logits: Tensor, level_set: Tensor, batch: Batch) -> LossTerms:
        """Terms of both tasks against the reference, on the labeled images."""
        terms = self.segmentation_terms(logits, batch.labels)
        assert batch.level_sets is not None, "targets asks for level sets"
        terms["level_set"] = Term(
            losses.mean_squared(level_set, batch.level_sets), self.config.beta
        )
        return terms

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        return self.supervised_terms(*self.both_tasks(batch.labeled_images), batch)
