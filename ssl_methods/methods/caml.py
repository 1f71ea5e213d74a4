"""CAML: two networks, one with attention, agree on voxels and on their likeness to known ones.

Gao, Zhang, Ma, Li, Zhang, "Correlation-Aware Mutual Learning for Semi-supervised Medical Image
Segmentation", MICCAI 2023. Network v; network a, whose deepest level but one has attention within
each image and across those of a batch, while training. p_v, p_a on labeled and unlabeled images,
s as in `mc_net`; c_v, c_a how like an unlabeled voxel's features are to remembered ones of labeled
voxels, a softmax over these; the voxels are the surest of each class on which both agree:

    L = L_supervised(p_v) + L_supervised(p_a) + lambda(t) * (M + correlation * mean CE(c_v, c_a))
    M = mean (p_v - s(p_a))^2 + mean (p_a - s(p_v))^2

v predicts. Defaults: correlation 0.05, temperatures 0.1, 12800 voxels and 256 remembered vectors of
each class, 32 numbers each (code; the 64 of its arguments reach no network). Cost: two networks;
their small ones take batch statistics over the unlabeled voxels, and keep up to 1415 bytes for
each: 2.8 GB for 2 patches of 112x112x80 in float32, and 0.2 for those compared.

Deviations
- Code: half the sum of the networks' Dice losses, plain sums pooled over the patches, no
  cross-entropy; gradients flow through s also; the weight rises in 40 steps over 6000 of 15000
  iterations with 4 labels (20 over 3000 with 8, 15 over 2250 with 16), counted from 1; the rate
  does not fall; a's linear decoder aligns corners: `as_released`.
- Code: a bank of every voxel of the last patch of each labeled case, of which 256 of a class are
  drawn anew in each step. A batch does not say which case is which: here a patch puts `share`
  random ones into a ring, which holds those of the last 256 / share patches. On phantoms (8
  labels, steps 25 to 150) the cosine of that term's gradient to its gradient with such a bank is
  0.3 to 0.8; of two draws from one bank, 0.4 to 0.9.
- Code: reads a's labeled features without moving channels, so that what is remembered of a are 16
  neighbours of one channel; here a voxel's channels.
- Several independent classes: none is the background, and a voxel is as sure as its least sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ssl_methods.config import setting
from ssl_methods.methods.base import Batch, LossTerms, MakeNetwork, Method, Progress, Term
from ssl_methods.methods.base import unlabeled_weight as weight_at
from ssl_methods.methods.parts.correlation import Correlation
from ssl_methods.methods.parts.mutual_consistency import MutualConfig, mutual_consistency
from ssl_methods.methods.parts.sample_attention import add_attention
from ssl_methods.methods.parts.summing import summed

RAMPS = {4: (40, 0.4), 8: (20, 0.2), 16: (15, 0.15)}  # by number of labels: steps, fraction


class CAMLConfig(MutualConfig):
    """Settings of correlation-aware mutual learning."""

    correlation: float = setting(
        0.05,
        "weight of the correlation within the unlabeled term",
        source="code: 0.05",
        ge=0,
        search=("log", 0.005, 0.5),
    )
    voxels: int = setting(
        12800, "number of unlabeled voxels of each class that are compared", source="code", ge=2
    )
    share: int = setting(
        32,
        "number of voxels of each class that a labeled patch puts into the memory of 256",
        source="256 by the number of labels: 64, 32, 16 with 4, 8, 16",
        ge=1,
        le=256,
    )

    @classmethod
    def released(cls, labeled: int | None) -> Mapping[str, Any]:
        """The settings in the released runs' names; for other numbers of labels the defaults."""
        if labeled not in RAMPS:
            return cls.as_released
        steps, fraction = RAMPS[labeled]
        by_labels = {"ramp_steps": steps, "ramp_fraction": fraction, "share": 256 // labeled}
        return {**cls.as_released, **by_labels}


class CAML(Method):
    """Two networks of one kind but for attention; the one without it predicts."""

    title, family, marker = "CAML", "several networks", "h"
    Config = CAMLConfig
    uses_unlabeled = True
    least_precision = "float32"  # of the correlation after 40 steps; later was not measured
    config: CAMLConfig

    def __init__(self, config: CAMLConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.network = make_network.in_parts(features=True)
        self.second = make_network.in_parts(decoders=(config.linear,), features=True)
        add_attention(self.second, make_network.config)
        self.shared = Correlation(make_network.config.width, make_network.classes)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        y, labeled, images = batch.labels, len(batch.labels), self.images(batch)
        (z_v, f_v), (z_a, f_a) = self.network(images), self.second(images)
        terms = summed(*(self.segmentation_terms(z[:labeled], y) for z in (z_v, z_a)))
        if self.wants_unlabeled:
            weight = weight_at(self.config, progress)
            value = mutual_consistency(self.config, [z_v, z_a], self.classes)
            terms["consistency"] = Term(value, weight)
        if len(images) > labeled:
            found = [with_none(self.classes.likeliest_of(z)) for z in (z_v, z_a)]
            agreed = found[0] & found[1]
            right, known = agreed[:labeled] & with_none(y), (f_v[:labeled], f_a[:labeled])
            self.shared.remember(known, right, labeled * self.config.share)
            p, unknown = self.classes.probability(z_v.detach()), (f_v[labeled:], f_a[labeled:])
            sure = self.classes.sureness(p[labeled:]).amin(1, keepdim=True)
            value = self.shared(unknown, agreed[labeled:], sure, self.config.voxels)
            terms["correlation"] = Term(value, weight * self.config.correlation)
        return terms


def with_none(labels: Tensor) -> Tensor:
    """Where no class is, then where each is, bool (N, 1 + K, ...); labels (N, K, ...) of 0, 1."""
    return torch.cat([labels.sum(1, keepdim=True) == 0, labels > 0], 1)
