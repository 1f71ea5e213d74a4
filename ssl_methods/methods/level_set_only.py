"""The level set alone: the network regresses the signed distance map and nothing else.

"LSF" in the ablation of Luo, Chen, Song, Wang, "Semi-supervised Medical Image Segmentation through
Dual-task Consistency", AAAI 2021, table 1. The segmentation is the smooth inverse of the level set:

    L = mean (tanh(z) - T(y))^2,   p = T⁻¹(tanh(z)) = sigmoid(-k tanh(z))

Defaults: k 1500 (DTC paper).

Deviations
- There is no released code for the ablation to run beside it; that its segmentation
  is T⁻¹ of the level set, and that the loss has no factor, is assumed.
- There is no segmentation head: `ce_weight`, `dice_weight` and `dice_form` weigh nothing.
- T is computed on the augmented patch, as in `sdf_multitask` (`training.level_set_from`).
- At k = 1500 a window's probability is nearly 0 or 1: where windows overlap, they vote.
"""

from __future__ import annotations

from torch import Tensor

from ssl_methods import level_set, losses
from ssl_methods.config import MethodConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term


class LevelSetOnlyConfig(MethodConfig):
    """Settings of the level set alone."""

    k: float = setting(
        1500.0,
        "steepness k of T⁻¹(z) = sigmoid(-k z)",
        source="DTC paper",
        gt=0,
        search=("log", 1.0, 5000.0),
    )


class LevelSetOnly(Method):
    """One network, one head: the level set."""

    title, family, marker = "Level set only", "level set", "o"
    Config = LevelSetOnlyConfig
    targets = frozenset({"level_set"})
    least_precision = "tf32"  # alone, the level set's gradient keeps too few of its digits
    config: LevelSetOnlyConfig

    def __init__(self, config: LevelSetOnlyConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        assert batch.level_sets is not None, "targets asks for level sets"
        (z,) = self.network(batch.labeled_images)
        return {"level_set": Term(losses.mean_squared(z.float().tanh(), batch.level_sets), 1.0)}

    def predict(self, image: Tensor) -> Tensor:
        z = self.network(image)[0].float().tanh()
        return level_set.to_probability(z, self.config.k, self.classes)
