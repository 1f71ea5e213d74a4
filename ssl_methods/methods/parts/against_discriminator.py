"""One step of the network against the discriminator, then one of the discriminator."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim import Optimizer

from ssl_methods.config import TrainingConfig
from ssl_methods.methods.base import (
    Batch,
    Loss,
    LossTerms,
    Method,
    Progress,
    Term,
    make_optimizer,
    unlabeled_weight,
)
from ssl_methods.methods.parts.discriminator import AdversarialConfig, Discriminator


class AgainstDiscriminator(Method):
    """A method whose ``loss`` ends with ``adversarial_terms``; D is in ``discriminator``."""

    config: AdversarialConfig
    network: nn.Module
    discriminator: Discriminator
    maps: Tensor  # of the newest step, detached, for the discriminator's

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        segmentation = make_optimizer(self.network, training)
        steps: list[tuple[Optimizer, Loss]] = [(segmentation, self.loss)]
        if self.wants_unlabeled:
            adam = self.discriminator.optimizer(self.config.discriminator_rate)
            steps.append((adam, self.discriminator_loss))
        return steps

    def adversarial_terms(self, maps: Tensor, batch: Batch, progress: Progress) -> LossTerms:
        """Terms of maps (N, K, *spatial) of the labeled and then any unlabeled images.

        Keeps them for the discriminator's step.
        """
        labeled, images = len(batch.labeled_images), self.images(batch)
        self.maps = maps.detach()
        if len(images) == labeled:
            return {}
        doubt = self.discriminator.doubt(maps[labeled:], images[labeled:])
        return {"adversarial": Term(doubt, unlabeled_weight(self.config, progress))}

    def discriminator_loss(self, batch: Batch, progress: Progress) -> LossTerms:
        """Loss on the maps that `loss` has just made; weight 0 with nothing to tell apart."""
        labeled = len(batch.labeled_images)
        error = self.discriminator.error(self.maps, self.images(batch), labeled)
        return {"discriminator": Term(error, float(len(self.maps) > labeled))}
