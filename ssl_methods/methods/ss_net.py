"""SS-Net: the prediction is smooth around every image, and voxels of a class have like features.

Wu, Wu, Wu, Ge, Cai, "Exploring Smoothness and Class-Separation for Semi-supervised Medical Image
Segmentation", MICCAI 2022. On labeled and unlabeled images x alike, p = p(x) without gradient:

    L = L_supervised + lambda(t) * (L_smooth + contrast * (L_labeled + L_unlabeled))
    L_smooth = mean of p (1 - q) + (1 - p) q,   q = p(x + r),   |r| = radius for each image
    L_.. = sum over classes of (1 - f m) / (K + 1)

r: the direction in which L_smooth grows, by one gradient from a random start. f: mean direction of
the projected features of a class's voxels, by label or as predicted, weighted by scores that are
learnt; m: that of 32 remembered ones of labeled voxels rightly predicted.

Defaults: contrast 0.1, radius 10 (code, left atrium). The radius is of the whole patch: at
112x112x80 0.01 a voxel. Cost: four passes of each image, two with a gradient for the weights, and
one for the image; the features' networks take batch statistics over all voxels, and keep 732 bytes
for each: 2.9 GB for 2 + 2 patches of 112x112x80 in float32.

Deviations
- Code: Dice alone, plain sums pooled over the patches; the weight rises in 40 steps over 6000 of
  15000 iterations, counted from 1; the rate falls every 2500: `as_released`.
- Code: 1e-8 in the fractions of Dice, here 1e-5, in L_smooth none: the same to 1e-6.
- Code: a second scorer weighs what is remembered; each weight is divided by itself, so that all
  are 1 and it learns nothing. Here there is none.
- Code: fewer than 32 rightly predicted voxels make a smaller memory; here some are repeated.
- Code for slices: Dice of squares over four softmax channels in L_smooth, radius 6, the ramp 200
  steps long, weight 0.1; here as for volumes. Its memory of the background stays empty; here none.
- Code: keeps the best weights on the test set.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.config import RampedConfig, TrainingConfig, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.adversarial import unit
from ssl_methods.methods.parts.class_contrast import ClassContrast
from ssl_methods.methods.parts.modes import statistics_kept


class SSNetConfig(RampedConfig):
    """Settings of SS-Net."""

    as_released = {"ce_weight": 0.0, "dice_weight": 1.0, "dice_form": "pooled"}
    as_released |= {"ramp": "stepwise", "ramp_fraction": 0.4, "ramp_start": 1}

    contrast: float = setting(
        0.1,
        "weight of the contrast within the unlabeled term",
        source="code: 0.1",
        ge=0,
        search=("log", 0.01, 1.0),
    )
    radius: float = setting(
        10.0,
        "length of the adversarial change of a patch",
        source="code: 10 (LA)",
        gt=0,
        search=("log", 1.0, 100.0),
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The learning rate falls every 2500 of 15000 iterations."""
        loop = {"learning_rate_steps": tuple(n / 6 for n in range(1, 6))}
        return super().released_training(training).model_copy(update=loop)


class SSNet(Method):
    """One network, of which features are seen too, and what is remembered of them."""

    title, family, marker = "SS-Net", "output distribution", "s"
    Config = SSNetConfig
    uses_unlabeled = True
    least_precision = "tf32"  # the change of the images follows a gradient
    config: SSNetConfig

    def __init__(self, config: SSNetConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(features=True)
        self.contrast = ClassContrast(make_network.config.width, make_network.classes)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        y, labeled, images = batch.labels, len(batch.labels), self.images(batch)
        logits, features = self.network(images)
        terms = self.segmentation_terms(logits[:labeled], y)
        if self.wants_unlabeled:
            weight, found = weight_at(self.config, progress), self.classes.likeliest_of(logits)
            self.contrast.remember(features[:labeled], y * found[:labeled])
            value = self.contrast(features[:labeled], y)
            if len(images) > labeled:
                value = value + self.contrast(features[labeled:], found[labeled:])
            terms["contrast"] = Term(value, weight * self.config.contrast)
            terms["smoothness"] = Term(self.roughness(images), weight)
        return terms

    def roughness(self, images: Tensor) -> Tensor:
        """How much the prediction changes under the small change of the images that it fears."""
        with torch.no_grad():
            p = self.classes.outcomes(self.classes.probability(self.network(images)[0]))

        def difference(changed: Tensor) -> Tensor:
            q = self.classes.outcomes(self.classes.probability(self.network(changed)[0]))
            return 1 - (p * q).sum(0).mean()

        with statistics_kept(self.network):
            length = self.config.radius
            probe = (images + length * unit(torch.rand_like(images) - 0.5)).requires_grad_()
            (gradient,) = torch.autograd.grad(difference(probe), probe)
            return difference(images + length * unit(gradient))
