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

from itertools import permutations

import torch

from ssl_methods.config import RampedConfig, TrainingConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.averaging import average_terms
from ssl_methods.methods.parts.sharpening import sharpen
from ssl_methods.networks import Upsampling


class MCNetConfig(RampedConfig):
    """Settings of mutual consistency."""

    as_released = {
        "ce_weight": 0.0,
        "dice_weight": 1.0,
        "dice_form": "pooled",
        "ramp": "stepwise",
        "ramp_fraction": 0.4,
        "ramp_start": 1,
        "align_corners": True,
        "stopped": False,
    }

    decoders: int = setting(
        2, "number of decoders; 2: MC-Net; 3: MC-Net+", source="MC-Net paper", ge=2, le=3
    )
    temperature: float = setting(
        0.1,
        "temperature of the sharpening",
        source="MC-Net code",
        gt=0,
        le=1,
        search=("log", 0.05, 1.0),
    )
    align_corners: bool = setting(
        False,
        "whether the linear decoder enlarges with aligned corners",
        source="MC-Net code: true",
    )
    stopped: bool = setting(
        True, "whether the sharpened target has no gradient", source="MC-Net code: false"
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The learning rate stays as it is."""
        loop = {"learning_rate_schedule": "constant"}
        return super().released_training(training).model_copy(update=loop)


class MCNet(Method):
    """One encoder, two or three decoders; the first predicts."""

    title, family, marker = "MC-Net", "several decoders", "s"
    Config = MCNetConfig
    uses_unlabeled = True
    config: MCNetConfig

    def __init__(self, config: MCNetConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        linear: Upsampling = "aligned" if config.align_corners else "linear"
        kinds: tuple[Upsampling, ...] = ("transposed", linear, "nearest")
        self.network = make_network(decoders=kinds[: config.decoders])

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, outputs = len(batch.labels), self.network(self.images(batch))
        terms = average_terms([self.segmentation_terms(z[:labeled], batch.labels) for z in outputs])
        if self.wants_unlabeled:
            guesses = [self.classes.probability(logits) for logits in outputs]
            sources = [p.detach() if self.config.stopped else p for p in guesses]
            targets = [sharpen(p, self.config.temperature, self.classes) for p in sources]
            pairs = permutations(range(len(guesses)), 2)
            values = [self.difference(guesses[i], targets[j]) for i, j in pairs]
            weight = weight_at(self.config, progress)
            terms["consistency"] = Term(torch.stack(values).sum(), weight)
        return terms
