"""The method contract: what a researcher writes, and what the harness gives and takes.

A method owns its networks and the loss of one step. The harness owns data, schedule of the learning
rate, precision, logging, checkpoints and evaluation, the same for every method.

In: ``Batch`` (images, labels of labeled images, wanted targets) and ``Progress`` (t, t_max).
Out: ``LossTerms``, named terms with their weights; the harness sums, steps and records them.

Most methods define ``__init__`` (with ``self.network``) and ``loss``. The rest is for those that
need it: several networks (call ``make_network`` again), a second optimiser (``optimizers``),
stages (ask ``Progress``), mixed images (mix them in ``loss``), statistics of the labels
(``before_training``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ssl_methods import losses, schedules
from ssl_methods.batch import Batch, Loss, LossTerms, Progress, Term
from ssl_methods.classes import Classes
from ssl_methods.config import MethodConfig, Precision, RampedConfig, TrainingConfig
from ssl_methods.networks import MakeNetwork
from ssl_methods.optimiser import make_optimizer

__all__ = [
    "Batch",
    "Loss",
    "LossTerms",
    "MakeNetwork",
    "Method",
    "Progress",
    "Term",
    "make_optimizer",
    "unlabeled_weight",
]


class Method(nn.Module):
    """Base of all methods.

    ``title``: what figures and texts call it; else its file's name. ``family``: methods of one have
    one colour. ``marker``: of its points, as matplotlib names it (``reporting/looks.py``).
    ``targets``: derived targets wanted in the batch, e.g. ``{"level_set"}``.
    ``uses_unlabeled``: whether unlabeled images enter the loss at all.
    ``role``: ``bound`` is trained on every training label there is, whatever the budget;
    ``control`` is not trained, and any method should beat it.
    ``whole_image``: ``predict`` is given whole images instead of windows.
    ``least_precision``: what `training.precision: auto` gives it on a GPU: the fastest in which
    the gradients of all its terms keep their direction (measured by benchmarks/precision.py).
    ``least_patches``: of each kind in a batch that has to be divided (training/micro_batches.py); 2
    where patches of a batch are mixed with one another.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    title: ClassVar[str] = ""
    family: ClassVar[str] = ""
    marker: ClassVar[str] = ""
    targets: ClassVar[frozenset[str]] = frozenset()
    uses_unlabeled: ClassVar[bool] = False
    role: ClassVar[Literal["method", "bound", "control"]] = "method"
    whole_image: ClassVar[bool] = False
    least_precision: ClassVar[Precision] = "bfloat16"
    least_patches: ClassVar[int] = 1
    network: nn.Module  # the one that predicts
    classes: Classes  # whether they exclude one another: what its logits mean

    def __init__(self, config: MethodConfig, make_network: MakeNetwork) -> None:
        super().__init__()
        self.config = config
        self.classes = make_network.meaning

    def loss(self, batch: Batch, progress: Progress) -> LossTerms:
        """The named terms of one step; gradients flow to every parameter that requires them."""
        raise NotImplementedError(f"{type(self).__name__} must define loss()")

    def after_step(self, progress: Progress) -> None:
        """Called after each iteration, e.g. to update an averaged teacher."""

    def before_training(self, labels: Iterable[Tensor]) -> None:
        """Given the whole label maps of the labeled cases, (K, *spatial) of 0 and 1, on the CPU."""

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        """What is stepped in an iteration, in order: each optimiser with the loss that it lowers.

        The learning rate of the first follows the loop's schedule; others keep theirs. The terms of
        all losses need names of their own. An empty list: there is nothing to train.
        """
        return [(make_optimizer(self, training), self.loss)]

    def predict(self, image: Tensor) -> Tensor:
        """Image (N, C, *spatial) to foreground probability per class (N, K, *spatial), float32."""
        return self.classes.probability(self.network(image)[0])

    # ---- pieces that methods share ----

    @property
    def wants_unlabeled(self) -> bool:
        """False too where the unlabeled weight is set to 0: then the unlabeled images are not
        looked at, so that weight 0 is the supervised part alone, batch statistics and dropout
        included."""
        return self.uses_unlabeled and getattr(self.config, "weight", 1.0) > 0

    def images(self, batch: Batch) -> Tensor:
        """Labeled images, then (if wanted) unlabeled ones: one forward pass sees both, as
        released."""
        if not self.wants_unlabeled:
            return batch.labeled_images
        return torch.cat([batch.labeled_images, batch.unlabeled_images])

    def segmentation_terms(self, logits: Tensor, labels: Tensor) -> LossTerms:
        """Cross-entropy and Dice with the weights of the settings; a term of weight 0 is left
        out."""
        config, terms = self.config, {}
        if config.ce_weight:
            value = losses.cross_entropy(logits, labels, self.classes)
            terms["cross_entropy"] = Term(value, config.ce_weight)
        if config.dice_weight:
            value = self.dice(self.classes.probability(logits), labels)
            terms["dice"] = Term(value, config.dice_weight)
        return terms

    def dice(self, probability: Tensor, target: Tensor, region: Tensor | None = None) -> Tensor:
        """Dice loss in the form of the settings, where ``region`` is 1."""
        config = self.config
        return losses.dice(
            probability, target, config.dice_form, config.dice_over, region, self.classes
        )

    def difference(self, left: Tensor, right: Tensor) -> Tensor:
        """Mean squared difference of two probabilities."""
        return losses.mean_squared(left, right, self.classes)


def unlabeled_weight(config: RampedConfig, progress: Progress) -> float:
    """Lambda at this iteration: the largest weight times the chosen warm-up."""
    t, length = progress.t + config.ramp_start, progress.t_max * config.ramp_fraction
    shapes = {
        "gaussian": lambda: schedules.gaussian_warmup(t, length),
        "stepwise": lambda: schedules.stepwise_warmup(t, length, config.ramp_steps),
        "constant": lambda: 1.0,
    }
    return config.weight * shapes[config.ramp]()
