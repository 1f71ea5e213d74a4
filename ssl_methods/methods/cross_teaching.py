"""Cross teaching: two networks of different kinds, each learns the other's hard predictions.

Luo, Hu, Song, Wang, Zhang, "Semi-Supervised Medical Image Segmentation via Cross Teaching between
CNN and Transformer", MIDL 2022. p1, p2 are the predictions of the experiment's network and of its
partner, y1 = [p1 > 0.5], y2 = [p2 > 0.5] their labels for unlabeled images, without gradient:

    L = L_supervised(p1) + L_supervised(p2) + lambda(t) * (Dice(p1, y2) + Dice(p2, y1))

Each term is a sum over the networks, so that each trains as it would alone; the experiment's own
predicts. Defaults: weight 0.1 (SSL4MIS code); the partner is chosen here.

Deviations
- SSL4MIS: the weight rises in 200 steps, Dice of the background too, rate (1 - t/t_max)^0.9:
  `as_released`.
- Released: U-Net, and Swin-UNet pretrained on ImageNet, in 2D. Here the partner is a U-Net, or,
  not pretrained, e.g. `partner: "monai:UNETR", partner_arguments: {img_size: [112, 112, 80]}`.
- Released: Dice over softmax channels, the background too; here over each class and its
  complement, the same for one class. The foreground's Dice alone learns nothing of empty labels.
"""

from __future__ import annotations

from torch import Tensor

from ssl_methods import losses
from ssl_methods.config import largest_weight
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.partner import PartnerConfig, make_partner
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.methods.parts.summing import summed


class CrossTeachingConfig(PartnerConfig, SSL4MISConfig):
    """Settings of cross teaching."""

    weight: float = largest_weight(0.1, "SSL4MIS code")


class CrossTeaching(Method):
    """Two backbones; raises UserError if both are of one kind."""

    title, family, marker = "Cross teaching", "several networks", "^"
    Config = CrossTeachingConfig
    uses_unlabeled = True
    config: CrossTeachingConfig

    def __init__(self, config: CrossTeachingConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.second = make_partner(make_network, config, "cross_teaching")

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labeled_images), self.images(batch)
        views = [self.network(images)[0], self.second(images)[0]]
        terms = summed(*(self.segmentation_terms(z[:labeled], batch.labels) for z in views))
        if len(images) > labeled:
            z1, z2 = (z[labeled:] for z in views)
            value = self.taught(z1, z2) + self.taught(z2, z1)
            terms["cross_teaching"] = Term(value, unlabeled_weight(self.config, progress))
        return terms

    def taught(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Dice loss of one network's prediction against the other's hard labels; from logits."""
        p, y = self.classes.probability(student), self.classes.likeliest_of(teacher)
        return losses.dice(p, y, self.config.dice_form, "both", classes=self.classes)
