"""FixMatch: what the network is sure of on the plain image, it must say on a strong view of it.

Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence",
NeurIPS 2020, voxel by voxel. p is the probability on the weak view, q on the strong one:

    L = L_supervised + lambda(t) * mean ([max(p, 1 - p) >= confidence] * CE(q, [p > 0.5]))

Defaults: confidence 0.95, weight 1 (paper); strength 1 (chosen here).

Deviations
- SSL4MIS: a voxel is sure where (p - min) / max > 0.8, i.e. p > 5/6; weight 0.1 in 200 steps; CE
  and Dice, of the background too, summed; rate (1 - t/t_max)^0.9: `as_released`. So is the average
  that predicts in the paper (0.999; SSL4MIS: the weights themselves).
- SSL4MIS labels unsure voxels background and adds Dice and complementary losses on the strong view;
  here, as in the paper, they count as 0: 7.5 % of a step's loss, 9.5 % of its gradient.
- The weak view is the batch's patch, the strong view the same patch with other intensities and a
  cuboid cut out; the paper's RandAugment also moves voxels, which would displace the labels.
- The paper's weight is constant (`ramp: constant`). Labeled, weak and strong patches share one pass
  and its batch statistics, as in the paper's code; SSL4MIS: two passes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import largest_weight, setting
from ssl_methods.losses import cross_entropies
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.methods.parts.strong_augmentation import strong
from ssl_methods.methods.parts.teacher import Teacher


class FixMatchConfig(SSL4MISConfig):
    """Settings of FixMatch."""

    as_released = {**SSL4MISConfig.as_released, "ce_weight": 1.0, "dice_weight": 1.0}
    as_released |= {"weight": 0.1, "confidence": 5 / 6, "average": 0.999}

    weight: float = largest_weight(1.0, "paper: 1")
    confidence: float = setting(
        0.95, "least probability of a pseudo-label", source="paper: 0.95", ge=0.5, lt=1
    )
    strength: float = setting(
        1.0, "strength of the strong augmentation", source="chosen here", ge=0, le=1
    )
    average: float = setting(
        0.0,
        "decay of the averaged weights that predict; 0: the last weights predict",
        source="paper: 0.999",
        ge=0,
        lt=1,
    )


class FixMatch(Method):
    """One network, two views of each unlabeled image."""

    title, family, marker = "FixMatch", "pseudo-labels", "o"
    Config = FixMatchConfig
    uses_unlabeled = True
    config: FixMatchConfig

    def __init__(self, config: FixMatchConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        decay = config.average
        self.average = Teacher(self.network, decay, ramped=False) if decay else None

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        weak = batch.unlabeled_images
        if not self.wants_unlabeled or not len(weak):
            (logits,) = self.network(batch.labeled_images)
            return self.segmentation_terms(logits, batch.labels)
        views = torch.cat([batch.labeled_images, weak, strong(weak, self.config.strength)])
        (logits,) = self.network(views)
        known, plain, changed = logits.split([len(batch.labels), len(weak), len(weak)])
        value = pseudo_label_loss(changed, plain, self.config.confidence, self.classes)
        terms = self.segmentation_terms(known, batch.labels)
        return terms | {"pseudo_label": Term(value, weight_at(self.config, progress))}

    def after_step(self, progress: Progress) -> None:
        if self.average is not None:
            self.average.update_parameters(self.network)

    def predict(self, image: Tensor) -> Tensor:
        network = self.network if self.average is None else self.average.module
        return self.classes.probability(network(image)[0])


def pseudo_label_loss(
    logits: Tensor, weak_logits: Tensor, confidence: float, classes: Classes = INDEPENDENT
) -> Tensor:
    """Cross-entropy with the weak view's classes where it is sure of them, mean over all voxels."""
    sure = classes.sureness(classes.probability(weak_logits.detach())) >= confidence
    return (sure * cross_entropies(logits, classes.likeliest_of(weak_logits), classes)).mean()
