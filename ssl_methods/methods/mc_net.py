"""MC-Net: decoders that enlarge in different ways learn each other's sharpened predictions.

Wu, Xu, Ge, Cai, Zhang, "Semi-supervised left atrium segmentation with mutual consistency training",
MICCAI 2021 (two decoders); MC-Net+: Wu et al., "Mutual consistency learning for semi-supervised
medical image segmentation", Medical Image Analysis 2022 (three). Decoder i predicts p_i, on labeled
and unlabeled images alike:

    L = mean over i of L_supervised(p_i) + lambda(t) * sum over i != j of mean (p_i - s(p_j))^2
    s(p) = p^(1/T) / (p^(1/T) + (1 - p)^(1/T))

Defaults: T 0.1, weight 1, two decoders (transposed convolution, linear); the third: nearest (code).

Deviations
- Code: half the sum of the decoders' Dice losses, plain sums pooled over the patches, no
  cross-entropy; gradients flow through s(p_j) also; the linear decoder aligns corners; the weight
  rises in 40 steps over 6000 of 15000 iterations, counted from 1; the rate does not fall. All of it
  in `as_released`; for three decoders give it `dice_weight: 1.5`.
- Code: 1e-8 in the fraction of Dice, here 1e-5: the same to 1e-7 unless a patch is empty.
"""

from __future__ import annotations

from ssl_methods.config import setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.averaging import average_terms
from ssl_methods.methods.parts.mutual_consistency import MutualConfig, mutual_consistency
from ssl_methods.networks import Upsampling


class MCNetConfig(MutualConfig):
    """Settings of mutual consistency."""

    as_released = {**MutualConfig.as_released, "dice_weight": 1.0}

    decoders: int = setting(
        2, "number of decoders; 2: MC-Net; 3: MC-Net+", source="MC-Net paper", ge=2, le=3
    )


class MCNet(Method):
    """One encoder, two or three decoders; the first predicts."""

    title, family, marker = "MC-Net", "several decoders", "s"
    Config = MCNetConfig
    uses_unlabeled = True
    config: MCNetConfig

    def __init__(self, config: MCNetConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        kinds: tuple[Upsampling, ...] = ("transposed", config.linear, "nearest")
        self.network = make_network(decoders=kinds[: config.decoders])

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, outputs = len(batch.labels), self.network(self.images(batch))
        terms = average_terms([self.segmentation_terms(z[:labeled], batch.labels) for z in outputs])
        if self.wants_unlabeled:
            value = mutual_consistency(self.config, outputs, self.classes)
            terms["consistency"] = Term(value, weight_at(self.config, progress))
        return terms
