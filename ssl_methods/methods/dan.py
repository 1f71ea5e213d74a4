"""DAN: a discriminator cannot tell the predictions for unlabeled images from those for labeled.

Zhang, Yang, Chen, Fredericksen, Hughes, Chen, "Deep Adversarial Networks for Biomedical Image
Segmentation Utilizing Unannotated Images", MICCAI 2017; as in the SSL4MIS code. The discriminator
D sees a probability map and its image. In each iteration the network takes one step, then D:

    L   = L_supervised + lambda(t) * CE(D(f(x_u), x_u), labeled)
    L_D = CE(D(f(x), x), labeled or unlabeled)

Defaults: weight 0.1, D's Adam with rate 1e-4 and betas 0.9, 0.99 (SSL4MIS code).

Deviations
- SSL4MIS: D has 64 filters, here 4 per filter of the network; the weight rises in 200 steps, Dice
  of the background too, rate (1 - t/t_max)^0.9: `as_released`.
- Released: D averages its last features as one patch size makes them, here over any patch, and
  sees two softmax maps, here one map for each class (logits within 1e-7 at 96 voxels).
- Released: D learns from a second pass of the network, after its step and without dropout; here
  from the maps of the step itself, one pass less: 0.1 % of D's loss, 22 % of its gradient (medians
  of 100 steps of a small network).
- With weight 0 it is `supervised`, step for step, and D is not trained.
"""

from __future__ import annotations

from ssl_methods.config import largest_weight
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Progress
from ssl_methods.methods.parts.against_discriminator import AgainstDiscriminator
from ssl_methods.methods.parts.discriminator import AdversarialConfig, make_discriminator
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig


class DANConfig(AdversarialConfig, SSL4MISConfig):
    """Settings of the adversarial network."""

    as_released = {**SSL4MISConfig.as_released, "discriminator_width": 64}

    weight: float = largest_weight(0.1, "SSL4MIS code", search=(0.001, 1.0))


class DAN(AgainstDiscriminator):
    """A network that segments, and a discriminator of its probability maps."""

    title, family, marker = "DAN", "output distribution", "X"
    Config = DANConfig
    uses_unlabeled = True
    config: DANConfig

    def __init__(self, config: DANConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network(1)
        self.discriminator = make_discriminator(config, make_network)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        (logits,) = self.network(self.images(batch))
        terms = self.segmentation_terms(logits[: len(batch.labeled_images)], batch.labels)
        return terms | self.adversarial_terms(self.classes.probability(logits), batch, progress)
