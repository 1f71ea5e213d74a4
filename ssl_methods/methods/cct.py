"""CCT: auxiliary decoders that see perturbed features agree with the main one, on unlabeled images.

Ouali, Hudelot, Tami, "Semi-supervised semantic segmentation with cross-consistency training",
CVPR 2020. One encoder e, a main decoder g and three auxiliary decoders g_k; P_k perturbs features:
uniform noise, channel dropout, dropout of the most active voxels. p = sigmoid of the logits:

    L = L_supervised(g) + lambda(t) * mean over k of mean (p_k(P_k(e(x_u))) - stop(p(e(x_u))))^2

Defaults: weight 0.1 (SSL4MIS code), noise 0.3, dropout 0.3, threshold 0.7 to 0.9 (both; CCT code:
weight 30 from a tenth of the run on, dropout 0.5 in its configuration).

Deviations
- SSL4MIS drops elements, draws noise and threshold once for a batch, supervises the auxiliary
  decoders and lets the gradient into the target: `as_released` (there in 2D, and a U-Net).
- CCT code has four more kinds of perturbation, at the encoder's output, and an encoder pass of the
  labeled images alone; here the three kinds of SSL4MIS, at every level, and one pass, as there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ssl_methods.config import largest_weight, setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.averaging import average_terms
from ssl_methods.methods.parts.feature_noise import perturbed
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.networks import EncoderDecoder


class CCTConfig(SSL4MISConfig):
    """Settings of cross-consistency training."""

    as_released = {**SSL4MISConfig.as_released, "variant": "ssl4mis"}

    weight: float = largest_weight(0.1, "SSL4MIS", search=(0.01, 100.0))
    noise: float = setting(
        0.3, "spread of the uniform noise on the features", source="CCT code", ge=0, le=1
    )
    dropout: float = setting(
        0.3, "fraction of the features that is dropped", source="both codes", ge=0, lt=1
    )
    variant: Literal["cct", "ssl4mis"] = setting(
        "cct",
        "whose perturbations; cct: drops channels, draws for each image, stops the target's "
        "gradient; ssl4mis: does none of these",
        source="CCT code (but one draw for all); SSL4MIS code",
    )


class CCT(Method):
    """A main decoder that is supervised and predicts, three that must follow it."""

    title, family, marker = "CCT", "several decoders", "o"
    Config = CCTConfig
    uses_unlabeled = True
    config: CCTConfig

    def __init__(self, config: CCTConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network: EncoderDecoder = make_network.in_parts(decoders=("transposed",) * 4)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        config, labeled = self.config, len(batch.labeled_images)
        features = self.network.encoder(self.images(batch))
        main, *auxiliary = self.network.decoders
        (logits,) = main(features)
        terms = self.segmentation_terms(logits[:labeled], batch.labels)
        ssl4mis, unlabeled = config.variant == "ssl4mis", logits[labeled:]
        if not ssl4mis:
            features, unlabeled = [level[labeled:] for level in features], unlabeled.detach()
        if not len(features[0]):
            return terms
        views = perturbed(features, config.noise, config.dropout, as_ssl4mis=ssl4mis)
        guesses = torch.stack([g(view)[0] for g, view in zip(auxiliary, views, strict=True)])
        if ssl4mis:
            known, guesses = guesses[:, :labeled], guesses[:, labeled:]
            others = [self.segmentation_terms(z, batch.labels) for z in known]
            terms = average_terms([terms, *others])
        if len(unlabeled):
            target = self.classes.probability(unlabeled)
            each = [self.difference(self.classes.probability(z), target) for z in guesses]
            agreement = torch.stack(each).mean()
            terms["consistency"] = Term(agreement, weight_at(config, progress))
        return terms

    def predict(self, image: Tensor) -> Tensor:
        """The main decoder alone."""
        return self.classes.probability(self.network.decoders[0](self.network.encoder(image))[0])
