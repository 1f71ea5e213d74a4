"""UA-MT: mean teacher that learns only where the teacher's repeated guesses are certain.

Yu, Wang, Li, Fu, Heng, "Uncertainty-Aware Self-Ensembling Model for Semi-supervised 3D Left Atrium
Segmentation", MICCAI 2019. p_ is the teacher's mean probability over T passes with input noise and
dropout, u its entropy, p' the teacher's guess of `mean_teacher`:

    L = L_supervised + lambda(t) * Σ m (p - p')^2 / Σ m
    m = [u < (0.75 + 0.25 exp(-5 (1 - t/t_max)^2)) ln 2],  u = -(p_ ln p_ + (1 - p_) ln(1 - p_))

Defaults: T 8 (paper and code), decay 0.99, weight 0.1, noise 0.1 clipped at 0.2 (code).

Deviations
- Code: squares of two softmax channels are summed and divided by 2 Σ m; the two are equal, so one
  sigmoid channel over Σ m is the same number. Several classes have u and m each, or share them if
  they exclude one another; then the squares are averaged, where SSL4MIS divides their sum by 2.
- The paper has the consistency on labeled images too; here, and in the code's script for unlabeled
  images that is followed, it is on these alone.
- As in the code: the T passes are T/2 passes of the batch repeated twice (batch statistics of the
  doubled batch), and p' is a pass of its own, not p_.
- Code: 1e-6 is added inside the logarithm; here 0 ln 0 is 0: 3e-6 of u, so that single voxels pass
  a threshold or not at the end of a run (2e-6 of the term).
- Code: lambda rises in 40 steps: `as_released`. The threshold rises smoothly in both.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ssl_methods.config import setting
from ssl_methods.methods.base import Batch, LossTerms, Progress, Term, unlabeled_weight
from ssl_methods.methods.mean_teacher import MeanTeacher, MeanTeacherConfig
from ssl_methods.schedules import entropy_threshold


class UAMTConfig(MeanTeacherConfig):
    """Settings of uncertainty-aware mean teacher."""

    samples: int = setting(
        8,
        "number of teacher passes for the uncertainty, even",
        source="paper: 8",
        ge=2,
        multiple_of=2,
    )


class UAMT(MeanTeacher):
    """Mean teacher with a mask on its consistency."""

    title, family, marker = "UA-MT", "averaged teacher", "v"
    Config = UAMTConfig
    config: UAMTConfig

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        (logits,) = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        if len(logits) > labeled:
            student = self.classes.probability(logits[labeled:])
            squares = self.classes.squares(student, self.guess(batch))
            largest = entropy_threshold(0.75, progress.t, progress.t_max)
            certain = self.uncertainty(batch) < largest
            agreement = (certain * squares).sum() / (certain.sum() + 1e-16)
            terms["consistency"] = Term(agreement, unlabeled_weight(self.config, progress))
        return terms

    @torch.no_grad()
    def uncertainty(self, batch: Batch) -> Tensor:
        """Entropy of the teacher's mean probability, (U, V, *patch), in nats."""
        images = batch.unlabeled_images
        twice = replace(batch, unlabeled_images=torch.cat([images, images]))
        passes = [self.guess(twice) for _ in range(self.config.samples // 2)]
        mean = torch.cat(passes).unflatten(0, (self.config.samples, len(images))).mean(0)
        return self.classes.entropy(mean)
