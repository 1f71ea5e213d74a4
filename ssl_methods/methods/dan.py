"""DAN: a discriminator cannot tell the predictions for unlabeled images from those for labeled.

Zhang, Yang, Chen, Fredericksen, Hughes, Chen, "Deep Adversarial Networks for Biomedical Image
Segmentation Utilizing Unannotated Images", MICCAI 2017; as in the SSL4MIS code. The discriminator
D sees a probability map and its image. In each iteration the network takes one step, then D:

    L   = L_supervised + lambda(t) * CE(D(f(x_u), x_u), labeled)
    L_D = CE(D(f(x), x), labeled or unlabeled)

Defaults: weight 0.1, D's Adam with rate 1e-4 and betas 0.9, 0.99 (SSL4MIS code).

Deviations
- Released: D has 64 filters; here 4 per filter of the network, the same at width 16 (recipe
  `as_released`: 64); it averages over a patch of any size. Released: softmax maps; here sigmoid.
- Released: D learns from a second pass of the network, after its step and without dropout; here
  from the maps of the step itself. The weight rises smoothly (`as_released`: in forty steps).
- With weight 0 it is `supervised`, step for step, and D is not trained.
"""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from ssl_methods.config import TrainingConfig, setting
from ssl_methods.methods.base import (
    Batch,
    Loss,
    LossTerms,
    MakeNetwork,
    Method,
    Progress,
    Term,
    sgd,
    unlabeled_weight,
)
from ssl_methods.methods.parts.discriminator import AdversarialConfig, make_discriminator


class DANConfig(AdversarialConfig):
    """Settings of the adversarial network."""

    as_released = {"ramp": "stepwise", "discriminator_width": 64}

    weight: float = setting(
        0.1, "largest weight", source="SSL4MIS code", ge=0, search=("log", 0.001, 1.0)
    )


class DAN(Method):
    """A network that segments, and a discriminator of its probability maps."""

    Config = DANConfig
    uses_unlabeled = True
    config: DANConfig
    maps: Tensor  # of the newest step, detached, for the discriminator's

    def __init__(self, config: DANConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.discriminator = make_discriminator(config, make_network)

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        steps: list[tuple[Optimizer, Loss]] = [(sgd(self.network, training), self.loss)]
        if self.wants_unlabeled:
            adam = self.discriminator.optimizer(self.config.discriminator_rate)
            steps.append((adam, self.discriminator_loss))
        return steps

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        labeled, images = len(batch.labeled_images), self.images(batch)
        (logits,) = self.network(images)
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        maps = logits.float().sigmoid()
        self.maps = maps.detach()
        if len(images) > labeled:
            doubt = self.discriminator.doubt(maps[labeled:], images[labeled:])
            terms["adversarial"] = Term(doubt, unlabeled_weight(self.config, progress))
        return terms

    def discriminator_loss(self, batch: Batch, progress: Progress) -> LossTerms:
        """Of the maps that `loss` has just made; weight 0 if there is nothing to tell apart."""
        labeled = len(batch.labeled_images)
        error = self.discriminator.error(self.maps, self.images(batch), labeled)
        return {"discriminator": Term(error, float(len(self.maps) > labeled))}
