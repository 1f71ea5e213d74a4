"""Mean teacher: the student agrees with its own moving average on noisy unlabeled images.

Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017; for left-atrium MR as in
the UA-MT code (Yu et al., MICCAI 2019).

    L = L_supervised + lambda(t) * mean (f(x_u) - f'(x_u + e))^2,   e = clip(N(0, 0.1), +-0.2)

Defaults: decay 0.99, weight 0.1, noise 0.1 clipped at 0.2 (UA-MT code).

Deviations
- Released: mean squared difference of two softmax channels; here of sigmoids, which is the same
  number.
- Released: the teacher keeps batch-norm statistics of its own; here they are the student's.
  Neither is read while training (batch statistics are) nor when predicting (the student predicts).
- UA-MT's code: the weight rises in 40 steps: `as_released`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_methods.config import RampedConfig, largest_weight, setting, teacher_decay
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.parts.teacher import Teacher


class MeanTeacherConfig(RampedConfig):
    """Settings of mean teacher."""

    as_released = {"ramp": "stepwise"}

    weight: float = largest_weight(0.1, "UA-MT code")
    decay: float = teacher_decay(0.99, "UA-MT code")
    noise: float = setting(0.1, "spread of the teacher's input noise", source="UA-MT code", ge=0)


class MeanTeacher(Method):
    """A student that is trained and a teacher that follows it."""

    title, family, marker = "Mean teacher", "averaged teacher", "s"
    Config = MeanTeacherConfig
    uses_unlabeled = True
    config: MeanTeacherConfig

    def __init__(self, config: MeanTeacherConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.teacher = Teacher(self.network, config.decay)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        (logits,) = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        if len(logits) > labeled:
            student = self.classes.probability(logits[labeled:])
            agreement = self.difference(student, self.guess(batch))
            terms["consistency"] = Term(agreement, unlabeled_weight(self.config, progress))
        return terms

    @torch.no_grad()
    def guess(self, batch: Batch) -> Tensor:
        """The teacher's probability for noisy unlabeled images."""
        images = batch.unlabeled_images
        spread = self.config.noise
        noise = (spread * torch.randn_like(images)).clamp(-2 * spread, 2 * spread)
        return self.classes.probability(self.teacher(images + noise)[0])

    def after_step(self, progress: Progress) -> None:
        self.teacher.update_parameters(self.network)
