"""Supervised only: the labeled patches, nothing else. The baseline of every comparison.

Loss: 0.5 cross-entropy + 0.5 Dice. Source: `train_LA.py` of UA-MT (Yu et al., MICCAI 2019).

Deviations
- Released: two softmax channels; here one sigmoid channel, the same loss (the softmax
  cross-entropy of two classes is the binary cross-entropy of the logits' difference).
- Released: all four patches of a batch are labeled, twice the labeled samples per step that the
  semi-supervised methods see: `as_released`. The unified recipe gives it the same labeled batch as
  every other method.
"""

from __future__ import annotations

from ssl_methods.config import MethodConfig, TrainingConfig
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress


class SupervisedConfig(MethodConfig):
    """Settings of the supervised part alone."""

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """The whole batch is labeled."""
        batch = training.labeled_batch + training.unlabeled_batch
        loop = {"labeled_batch": batch, "unlabeled_batch": 0}
        return super().released_training(training).model_copy(update=loop)


class Supervised(Method):
    """One network, one head."""

    title, family, marker = "Supervised", "labeled images alone", "o"
    Config = SupervisedConfig

    def __init__(self, config: SupervisedConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        (logits,) = self.network(batch.labeled_images)
        return self.segmentation_terms(logits, batch.labels)
