"""CauSSL: cross pseudo supervision of two networks whose filters are kept independent.

Miao, Chen, Liu, Wei, Heng, "CauSSL: Causality-inspired Semi-supervised Learning for Medical Image
Segmentation", ICCV 2023. W_i are the filters of a layer of network i, one a row; M_i mixes the rows
of the other network's, W_j, linearly; r(W, V) is the mean squared cosine between rows. To `cps` is
added how far the filters of each network follow from the other's, which is held fixed:

    L = L_supervised(z1) + L_supervised(z2) + lambda(t) * mean_u (CE(z1, y2) + CE(z2, y1))
        + independence * sum over i of mean over layers of r(W_i, M_i W_j)

In each iteration the networks lower L, then a step of Adam on M raises the last sum. Layers are all
convolutions. The first network predicts. Cost: that of `cps`, and products of filters.

Defaults: weight 0.1 * 0.3, independence 3, Adam's rate 0.02 (code); start 500 of 5000 (code).

Deviations
- Code: the weight rises in 40 steps, the rate falls once, half-way, patches are neither mirrored
  nor turned: `as_released`.
- Code: 60 steps on M every 60 iterations, from the 540th on; here one in each from the 500th on.
- Code: the weight would rise over 6000 iterations, of 5000: it ends at 86 %; here over the run. Its
  term waits for 400 iterations, when the weight is 1.1 % of its largest; here it does not.
- Code: two outputs for one class, so two rows in the last layer; here one.
- Code: a second form, between the decoders of MC-Net; here between networks alone.
- Weight 0 leaves the independence.
"""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from ssl_methods.config import RampedConfig, TrainingConfig, largest_weight, setting
from ssl_methods.methods.base import (
    Batch,
    Loss,
    LossTerms,
    MakeNetwork,
    Progress,
    Term,
    make_optimizer,
)
from ssl_methods.methods.cps import CPS
from ssl_methods.methods.parts.dependence import detached, filters, mutual_dependence, new_mixes
from ssl_methods.optimiser import UncompiledAdam


class CauSSLConfig(RampedConfig):
    """Settings of causality-inspired learning."""

    as_released = {"ramp": "stepwise"}

    weight: float = largest_weight(0.03, "CauSSL code: 0.1 * 0.3", search=(0.003, 3.0))
    independence: float = setting(
        3.0,
        "weight of the dependence between the networks' filters",
        source="CauSSL code",
        gt=0,
        search=("log", 0.3, 30.0),
    )
    start: float = setting(
        0.1,
        "fraction of the run after which filters are kept independent",
        source="CauSSL code: 500 of 5000",
        ge=0,
        lt=1,
    )
    ascent_rate: float = setting(
        0.02, "learning rate of the Adam that seeks the dependence", source="CauSSL code", gt=0
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """Patches are cropped and nothing else; the rate falls after 2500 of 5000 iterations."""
        loop = {"flip_axes": (), "rotate": False, "learning_rate_steps": (0.5,)}
        return super().released_training(training).model_copy(update=loop)


class CauSSL(CPS):
    """Two networks of one kind, and the linear mixes of filters that predict each other best."""

    title, family, marker = "CauSSL", "several networks", "X"
    Config = CauSSLConfig
    config: CauSSLConfig

    def __init__(self, config: CauSSLConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.to_first, self.to_second = new_mixes(self.network), new_mixes(self.network)

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        terms = super().loss(batch, progress)
        if self.started(progress):
            mixes = detached(self.to_first), detached(self.to_second)
            value = mutual_dependence(filters(self.network), filters(self.second), mixes)
            terms["dependence"] = Term(value, self.config.independence)
        return terms

    def started(self, progress: Progress) -> bool:
        return progress.t >= self.config.start * progress.t_max

    def ascent(self, batch: Batch, progress: Progress) -> LossTerms:
        """What the mixes lower: minus the dependence, of weight 0 until it counts."""
        first, second = (detached(filters(one)) for one in (self.network, self.second))
        value = mutual_dependence(first, second, (self.to_first, self.to_second))
        return {"sought": Term(-value, float(self.started(progress)))}

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        networks = nn.ModuleList([self.network, self.second])
        adam = UncompiledAdam([*self.to_first, *self.to_second], lr=self.config.ascent_rate)
        return [(make_optimizer(networks, training), self.loss), (adam, self.ascent)]
