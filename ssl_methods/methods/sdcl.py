"""SDCL: copy-paste for two students of different kinds, corrected where their classes differ.

Song, Wang, "SDCL: Students Discrepancy-Informed Correction Learning for Semi-supervised Medical
Image Segmentation", MICCAI 2024. Both students see the mixed images of `bcp` and learn as its one
does, from the teacher of the first. Added in stage two, for each student's p on each mixed image,
y its labels and guesses, w = 1 where labeled and weight elsewhere:

    review * mean over D of w (p - y)^2 + rectify * mean over D' of -w (log p + log(1 - p)) / 2
    D: voxels at which the students' classes differ,   D': those of D at which p is wrong

The second lowers the certainty of errors. The mean of both students' probabilities predicts.
Cost: that of `bcp` with two students, two passes for a prediction.

Defaults: review 0.5, rectify 0.05 (SDCL code, LA and ACDC; pancreas: 0.3 and 0.1); stage one of 80
of 355 epochs; the others are those of `bcp`; the partner is chosen here.

Deviations
- Those of `bcp`, but that its first two are of its own loop: here Adam of constant rate 0.001, and
  patches neither mirrored nor turned: `as_released`.
- Code: a V-Net and a residual V-Net, both with instance normalisation. Here the partner is a U-Net,
  or e.g. `partner: "monai:SegResNet", partner_arguments: {init_filters: 16}`, of residual blocks;
  normalisation is that of each network.
- Code: of two students and their mean, each at its best on the test set; here the last mean.
- Several classes: D and D' are of each class, or of all if they exclude one another (as coded).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import TrainingConfig, setting
from ssl_methods.methods.base import LossTerms, MakeNetwork, Term
from ssl_methods.methods.bcp import BCP, BCPConfig
from ssl_methods.methods.parts import copy_paste
from ssl_methods.methods.parts.confident import mean_over
from ssl_methods.methods.parts.copy_paste import Mix
from ssl_methods.methods.parts.partner import PartnerConfig, make_partner
from ssl_methods.methods.parts.summing import summed
from ssl_methods.methods.parts.two_networks import JointConfig, joint_prediction


class SDCLConfig(PartnerConfig, JointConfig, BCPConfig):
    """Settings of correction learning."""

    pretraining: float = setting(
        80 / 355, "length of stage one, as a fraction of the run", source="SDCL code", ge=0, lt=1
    )
    review: float = setting(
        0.5,
        "weight of the squared error where the students differ",
        source="SDCL code, LA: 0.5; pancreas: 0.3",
        ge=0,
        search=("log", 0.05, 5.0),
    )
    rectify: float = setting(
        0.05,
        "weight of the certainty of errors where the students differ",
        source="SDCL code, LA: 0.05; pancreas: 0.1",
        ge=0,
        search=("log", 0.005, 0.5),
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """4 + 4 patches, cropped and nothing else; Adam, 0.001 throughout."""
        loop = {"optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0.0}
        loop |= {"learning_rate_schedule": "constant", "flip_axes": (), "rotate": False}
        return super().released_training(training).model_copy(update=loop)


class SDCL(BCP):
    """Two students that see the same mixed images, and a teacher; UserError for two of a kind."""

    title, family, marker = "SDCL", "pseudo-labels", "P"
    Config = SDCLConfig
    config: SDCLConfig

    def __init__(self, config: SDCLConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.second = make_partner(make_network, config, "sdcl")

    def on_labeled(self, image: Tensor, label: Tensor) -> LossTerms:
        students = self.network, self.second
        return summed(*(self.segmentation_terms(one(image)[0], label) for one in students))

    def on_mixed(
        self, mixed: Tensor, mixes: tuple[Mix, Mix], labels: Tensor, guesses: Tensor, weight: float
    ) -> LossTerms:
        views = [self.seen_by(one, mixed).float() for one in (self.network, self.second)]
        known = mixes, labels, guesses, weight
        terms = summed(*(copy_paste.both_ways_terms(self, z, *known) for z in views))
        errors, doubts = [], []
        for mix, *pair in zip(mixes, *(z.chunk(2) for z in views), strict=True):
            target = copy_paste.paste(labels[mix.labeled], guesses[mix.unlabeled], mix.region)
            weights = mix.region + weight * (1 - mix.region)
            students = [self.classes.probability(z) for z in pair]
            differ = self.classes.differ(*students)
            for z, p in zip(pair, students, strict=True):
                wrong = differ & self.classes.differ(p, target)
                errors.append(mean_over(weights * self.classes.squares(p, target), differ))
                doubts.append(mean_over(weights * uncertainty(z, self.classes), wrong))
        terms["review"] = Term(torch.stack(errors).sum(), self.config.review)
        return terms | {"rectify": Term(torch.stack(doubts).sum(), self.config.rectify)}

    def predict(self, image: Tensor) -> Tensor:
        return joint_prediction(self.config, self.classes, self.network, self.second, image)


def uncertainty(logits: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """Mean of -log p over the outcomes, (N, V, *spatial): least where all are equally likely."""
    return -classes.log_outcomes(logits).mean(0)
