"""Deep co-training: two networks agree on unlabeled images, and resist each other's adversaries.

Qiao, Shen, Zhang, Wang, Yuille, "Deep Co-Training for Semi-Supervised Image Recognition", ECCV
2018; for segmentation Peng, Estrada, Pedersoli, Desrosiers, Pattern Recognition 2020. g1(x), g2(x)
are adversarial for networks 1 and 2: g_i(x) = x + epsilon * sign(d CE(p_i(x), y) / dx), y the
label or, on unlabeled images, [p_i > 0.5]:

    L = L_supervised(p1) + L_supervised(p2) + lambda(t) * (agreement + difference * D)
    agreement = mean_u H((p1 + p2) / 2) - (H(p1) + H(p2)) / 2
    D = mean_x (CE(p2(g1(x)), p1(x)) + CE(p1(g2(x)), p2(x))) / 2, targets without gradient

Network 1 predicts. Cost: two forward passes of each network, two more backward passes to images.

Defaults: weight 0.5, difference 0.05 / 0.5, epsilon 0.03 (code of Peng et al., for ACDC).

Deviations
- No released code was run beside it: Peng et al.'s was read, and its terms rebuilt by hand.
- Code: CE alone as L_supervised, weights rise over 50 of 120 epochs: `as_released`. In D the code
  has KL, which has the same gradient; D's weight rises from epoch 20 there, here with the other.
- Code: epsilon is of images within [0, 1], clipped to it; here of the normalised images, where it
  is a smaller step. Adversaries there come from passes in evaluation mode; here from the step's
  own, with dropout and batch statistics, which saves two passes. Sizes not measured.
- Peng et al.: any number of networks, a subset of labels each; here two, with all labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_methods.config import RampedConfig, largest_weight, setting
from ssl_methods.losses import cross_entropy
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.adversarial import adversarial_images
from ssl_methods.methods.parts.jensen_shannon import jensen_shannon
from ssl_methods.methods.parts.summing import summed


class DeepCoTrainingConfig(RampedConfig):
    """Settings of deep co-training."""

    as_released = {"ce_weight": 1.0, "dice_weight": 0.0, "ramp_fraction": 50 / 120}

    weight: float = largest_weight(0.5, "Peng et al. code")
    difference: float = setting(
        0.1,
        "weight of the difference term within the unlabeled one",
        source="Peng et al. code",
        ge=0,
    )
    epsilon: float = setting(
        0.03, "length of the adversarial step", source="Peng et al. code", gt=0
    )


class DeepCoTraining(Method):
    """Two networks of one kind, kept different by adversarial images."""

    title, family, marker = "Deep co-training", "several networks", "s"
    Config = DeepCoTrainingConfig
    uses_unlabeled = True
    least_precision = "tf32"  # the adversarial images follow the signs of a gradient
    config: DeepCoTrainingConfig

    def __init__(self, config: DeepCoTrainingConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network, self.second = make_network(1), make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labels), self.images(batch).detach().requires_grad_()
        views = [self.network(images)[0], self.second(images)[0]]
        terms = summed(*(self.segmentation_terms(z[:labeled], batch.labels) for z in views))
        if len(images) > labeled:
            weight = unlabeled_weight(self.config, progress)
            value = jensen_shannon(views[0][labeled:], views[1][labeled:], self.classes)
            terms["agreement"] = Term(value, weight)
            if self.config.difference:
                first = self.resistance(views[0], self.second, images, batch.labels)
                second = self.resistance(views[1], self.network, images, batch.labels)
                terms["difference"] = Term((first + second) / 2, weight * self.config.difference)
        return terms

    def resistance(self, z: Tensor, other: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """CE of the other network on images that are adversarial for the one with logits z."""
        own = self.classes.likeliest_of(z[len(labels) :])
        loss = cross_entropy(z, torch.cat([labels, own]), self.classes)
        adversary = adversarial_images(images, loss, self.config.epsilon)
        return cross_entropy(
            other(adversary)[0], self.classes.probability(z.detach()), self.classes
        )
