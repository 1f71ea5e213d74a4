"""MCF: two networks of different kinds; the better one of each step teaches the other.

Wang, Xiao, Bi, Li, Gao, "MCF: Mutual Correction Framework for Semi-Supervised Medical Image
Segmentation", CVPR 2023. p1, p2 are the predictions of the experiment's network and of its partner.
Both learn the labels, more so at labeled voxels D where they differ; s(p) is p sharpened, as in
`mc_net`, without gradient:

    L = sum over i of L_supervised(p_i) + review * mean over D of (p_i - y)^2
        + lambda(t) * mean_u (p_w - s(p_b))^2,   D = [p1 > 0.5] xor [p2 > 0.5]

b is the network whose Dice loss on the step's labeled patches is lower, w the other. The mean of
both probabilities predicts. Cost: two networks, one forward pass each, two for a prediction.

Defaults: weight 0.1, T 0.1, review 0.5 (MCF code); the partner is chosen here.

Deviations
- Code: cross-entropy and Dice count 1 each (here a half each, so that the other two terms count
  double beside them), the weight rises in 40 steps, patches are not mirrored or turned:
  `as_released`.
- Code: a V-Net and the encoder of a ResNet-34 with a V-Net's decoder. Here the partner is a U-Net,
  or e.g. `partner: "monai:SegResNet", partner_arguments: {init_filters: 16}`, of residual blocks.
- Code: the rate falls after 2501 of 6000 steps, here after 2500.
- Several classes (the paper has one): D is of each, or one if they exclude one another; the better
  network is the same for all.
- Weight 0 leaves the review: two networks on labeled images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import RampedConfig, TrainingConfig, largest_weight, setting
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.confident import mean_over
from ssl_methods.methods.parts.partner import PartnerConfig, make_partner
from ssl_methods.methods.parts.sharpening import sharpen
from ssl_methods.methods.parts.summing import summed
from ssl_methods.methods.parts.two_networks import JointConfig, joint_prediction


class MCFConfig(PartnerConfig, JointConfig, RampedConfig):
    """Settings of the mutual correction framework."""

    as_released = {"ce_weight": 1.0, "dice_weight": 1.0, "ramp": "stepwise"}

    weight: float = largest_weight(0.1, "MCF code")
    review: float = setting(
        0.5,
        "weight of the squared error where the two networks differ on labeled images",
        source="MCF code",
        ge=0,
        search=("log", 0.05, 5.0),
    )
    temperature: float = setting(
        0.1, "temperature of the sharpening", source="MCF code", gt=0, le=1
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """Patches are cropped and nothing else."""
        loop = {"flip_axes": (), "rotate": False}
        return super().released_training(training).model_copy(update=loop)


class MCF(Method):
    """Two backbones; raises UserError if both are of one kind."""

    title, family, marker = "MCF", "several networks", "P"
    Config = MCFConfig
    uses_unlabeled = True
    config: MCFConfig

    def __init__(self, config: MCFConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.second = make_partner(make_network, config, "mcf")

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, y, images = len(batch.labels), batch.labels, self.images(batch)
        views = [self.network(images)[0], self.second(images)[0]]
        terms = summed(*(self.segmentation_terms(z[:labeled], y) for z in views))
        p1, p2 = map(self.classes.probability, views)
        known, unknown = (p1[:labeled], p2[:labeled]), (p1[labeled:], p2[labeled:])
        terms["review"] = Term(review(*known, y, self.classes), self.config.review)
        if len(images) > labeled:
            d1, d2 = (self.dice(p.detach(), y) for p in known)
            of_first, of_second = self.lesson(*unknown), self.lesson(*reversed(unknown))
            value = torch.where(d1 < d2, of_second, of_first)  # no device is waited for
            terms["correction"] = Term(value, unlabeled_weight(self.config, progress))
        return terms

    def lesson(self, student: Tensor, teacher: Tensor) -> Tensor:
        """What the student's probabilities lose against the teacher's, sharpened."""
        target = sharpen(teacher.detach(), self.config.temperature, self.classes)
        return self.difference(student, target)

    def predict(self, image: Tensor) -> Tensor:
        return joint_prediction(self.config, self.classes, self.network, self.second, image)


def review(first: Tensor, second: Tensor, labels: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Squared error of both, summed, averaged over where they differ in class; 0 if nowhere."""
    errors = classes.squares(first, labels) + classes.squares(second, labels)
    return mean_over(errors, classes.differ(first, second))
