"""CCT: auxiliary decoders that see perturbed features agree with the main one, on unlabeled images.

Ouali, Hudelot, Tami, "Semi-supervised semantic segmentation with cross-consistency training",
CVPR 2020. One encoder e, a main decoder g and three auxiliary decoders g_k; P_k perturbs features:
uniform noise, channel dropout, dropout of the most active voxels. p = sigmoid of the logits:

    L = L_supervised(g) + lambda(t) * mean over k of mean (p_k(P_k(e(x_u))) - stop(p(e(x_u))))^2

Defaults: weight 0.1, noise 0.3, dropout 0.3, threshold 0.7 to 0.9 (SSL4MIS code; CCT code: weight
30 from a tenth of the run on, threshold 0.6 to 0.9).

Deviations
- CCT code has four more kinds of perturbation, on natural images; these three are the SSL4MIS
  code's, and features are perturbed at every level as there (paper: at the encoder's output).
- SSL4MIS also supervises the auxiliary decoders and does not stop the gradient of the main one;
  here as in paper and CCT code.
- Both: one noise tensor and one threshold for a whole batch; here each image has its own.
- SSL4MIS raises the weight in 200 steps; here smoothly. There is no other recipe.
- Labeled and unlabeled images go through the encoder together, as in SSL4MIS; CCT code: apart.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

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
from ssl_methods.methods.parts.averaging import average_terms
from ssl_methods.methods.parts.feature_noise import perturbed
from ssl_methods.methods.parts.ssl4mis import SSL4MISConfig
from ssl_methods.networks import EncoderDecoder


class CCTConfig(SSL4MISConfig):
    """Settings of cross-consistency training."""

    as_released = {**SSL4MISConfig.as_released, "variant": "ssl4mis"}

    weight: float = setting(
        0.1, "largest weight", source="SSL4MIS code", ge=0, search=("log", 0.01, 100.0)
    )
    noise: float = setting(0.3, "spread of the uniform noise", source="CCT code", ge=0, le=1)
    dropout: float = setting(
        0.3, "share dropped", source="SSL4MIS code, CCT code's signature: 0.3", ge=0, lt=1
    )
    variant: Literal["cct", "ssl4mis"] = setting(
        "cct",
        "cct: channels are dropped, each image has draws of its own, the target has no gradient;"
        " ssl4mis: elements, one draw for all, a gradient, and every decoder is supervised",
        source="CCT code, but that its noise and threshold are one draw too; SSL4MIS code",
    )


class CCT(Method):
    """A main decoder that is supervised and predicts, three that must follow it."""

    Config = CCTConfig
    uses_unlabeled = True
    config: CCTConfig

    def __init__(self, config: CCTConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        network = make_network(decoders=("transposed",) * 4)
        assert isinstance(network, EncoderDecoder), "others have a single decoder"
        self.network: EncoderDecoder = network

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
            target = unlabeled.float().sigmoid().expand_as(guesses)
            agreement = losses.mean_squared(guesses.float().sigmoid(), target)
            terms["consistency"] = Term(agreement, unlabeled_weight(config, progress))
        return terms

    def predict(self, image: Tensor) -> Tensor:
        """The main decoder alone."""
        probability: Tensor = self.network.decoders[0](self.network.encoder(image))[0]
        return probability.float().sigmoid()
