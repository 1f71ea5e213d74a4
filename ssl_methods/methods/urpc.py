"""URPC: predictions at several scales agree with their mean, less so where they are uncertain.

Luo et al., "Efficient semi-supervised gross target volume of nasopharyngeal carcinoma segmentation
via uncertainty rectified pyramid consistency", MICCAI 2021. p_s is the prediction of the head at
scale s of S, enlarged to full size; p the mean over s; D_s = KL(p || p_s) per voxel:

    L = mean over s of L_supervised(p_s) + lambda(t) * mean over s of
        [ mean(exp(-D_s) (p - p_s)^2) / mean(exp(-D_s)) + mean(D_s) ]   on unlabeled images

Defaults: 4 scales, weight 0.1 (SSL4MIS code).

Deviations
- Released: the weight rises in 400 steps, Dice of the background too, the rate starts at 0.1 and
  falls as (1 - t/t_max)^0.9: `as_released`.
- Released: classes exclude one another; so here with `network.classes: exclusive`.
- D_s is computed from logits, finite where log(softmax) is not.
- Released: dropout 0.5, 0.3, 0.2, 0.1 before the heads; here the network's own before each.
- Four scales need a network of five levels; with fewer, making the method is an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import TrainingConfig, largest_weight, setting
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.averaging import average_terms
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig


class URPCConfig(SSL4MISConfig):
    """Settings of the uncertainty-rectified pyramid consistency."""

    as_released = {**SSL4MISConfig.as_released, "ramp_steps": 400}

    weight: float = largest_weight(0.1, "SSL4MIS code")
    scales: int = setting(4, "number of resolutions with a head", source="URPC paper", ge=2, le=6)

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The learning rate starts at 0.1."""
        return super().released_training(training).model_copy(update={"learning_rate": 0.1})


class URPC(Method):
    """One network with a head at each of several scales; the finest predicts."""

    title, family, marker = "URPC", "several decoders", "v"
    Config = URPCConfig
    uses_unlabeled = True
    config: URPCConfig

    def __init__(self, config: URPCConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(scales=config.scales)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        scales = self.network(self.images(batch))
        terms = average_terms([self.segmentation_terms(z[:labeled], batch.labels) for z in scales])
        if len(scales[0]) > labeled:
            agreement = rectified_consistency([z[labeled:] for z in scales], self.classes)
            terms["consistency"] = Term(agreement, unlabeled_weight(self.config, progress))
        return terms


def rectified_consistency(scales: Sequence[Tensor], classes: Classes = INDEPENDENT) -> Tensor:
    """The bracket above from logits (N, K, *spatial) of each scale, averaged over the scales."""
    log_p = torch.stack([classes.log_outcomes(z) for z in scales])  # (S, O, N, V, *spatial)
    log_mean = log_p.logsumexp(0) - math.log(len(scales))
    divergence = (log_mean.exp() * (log_mean - log_p)).sum(1)
    trust, squares = (-divergence).exp(), (log_mean.exp() - log_p.exp()).square().mean(1)
    axes = tuple(range(1, divergence.ndim))
    rectified = (trust * squares).mean(axes) / (trust.mean(axes) + 1e-8)
    return (rectified + divergence.mean(axes)).mean()
