"""Multi-task consistency: DTC with any number of tasks, each pair of which must agree.

Luo, Chen, Song, Wang, "Semi-supervised Medical Image Segmentation through Dual-task Consistency",
AAAI 2021, conclude that it extends to any task with a differentiable way back to a probability.
Here, beside segmentation and the level set T, the inner distance d: 0 outside the object,
margin / (1 + margin) on its contour, 1 at its core. q is the probability of each task:

    d = y (margin - T) / (1 + margin),   q_d = sigmoid(k_inner (d - margin / (2 (1 + margin))))
    L = L_segmentation + beta * sum over tasks of mean (f - target)^2
        + lambda(t) * mean over pairs of mean (q_i - q_j)^2, on labeled and unlabeled images

Defaults: those of `dtc`; margin 0.1, k_inner 100 (chosen here: q_d is within 0.02 of the labels).

Deviations, beside those of `dtc` (which it is, bit for bit, with the first two tasks alone)
- There is no released code of it. The paper does not say how to weigh more tasks: here each has
  beta, and the pairs are averaged.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from pydantic import field_validator

from ssl_methods import losses
from ssl_methods.config import setting
from ssl_methods.methods.base import (
    Batch,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    unlabeled_weight,
)
from ssl_methods.methods.dtc import DTCConfig
from ssl_methods.methods.parts.tasks import regression_tasks


class MultiTaskConsistencyConfig(DTCConfig):
    """Settings of multi-task consistency; k and beta as in `dtc`."""

    tasks: tuple[Literal["segmentation", "level_set", "inner_distance"], ...] = setting(
        ("segmentation", "level_set", "inner_distance"),
        "tasks, with a head each: segmentation, then others",
    )
    margin: float = setting(
        0.1, "value of the inner distance on the contour", source="chosen here", gt=0
    )
    k_inner: float = setting(
        100.0, "steepness of q_d, the inverse of the inner distance", source="chosen here", gt=0
    )

    @field_validator("tasks")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value[:1] != ("segmentation",) or not 1 < len(value) == len(set(value)):
            raise ValueError("must be segmentation, then at least one other task, none twice")
        return value


class MultiTaskConsistency(Method):
    """One network, one head per task."""

    title, family, marker = "Multi-task consistency", "level set", "h"
    Config = MultiTaskConsistencyConfig
    targets = frozenset({"level_set"})
    uses_unlabeled = True
    least_precision = "float32"  # as of `dtc`
    config: MultiTaskConsistencyConfig

    def __init__(self, config: MultiTaskConsistencyConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(len(config.tasks))
        self.tasks = regression_tasks(config.k, config.margin, config.k_inner, self.classes)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled = len(batch.labeled_images)
        logits, *raw = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        probabilities = [self.classes.probability(logits)]
        for name, head in zip(self.config.tasks[1:], raw, strict=True):
            task, output = self.tasks[name], self.tasks[name].activation(head.float())
            error = losses.mean_squared(output[:labeled], task.target(batch))
            terms[name] = Term(error, self.config.beta)
            probabilities.append(task.to_probability(output))
        if self.config.weight:
            pairs = [self.difference(p, q) for p, q in combinations(probabilities, 2)]
            agreement = torch.stack(pairs).mean()
            terms["consistency"] = Term(agreement, unlabeled_weight(self.config, progress))
        return terms
