"""Losses on what is confidently guessed: the rest counts for nothing.

Voxels and classes that are not kept are neither foreground nor background.
"""

from __future__ import annotations

from torch import Tensor

from ssl_methods import losses
from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import MethodConfig


def mean_over(values: Tensor, kept: Tensor) -> Tensor:
    """The mean over the kept elements, 0 with gradient 0 if there is none.

    Args:
        values: any shape, float32, finite.
        kept: of 0 and 1 (or bool), broadcast to the values.
    """
    count = kept.expand_as(values).sum().clamp(min=1)
    return (values * kept).sum() / count


def confident_dice(
    config: MethodConfig,
    logits: Tensor,
    guess: Tensor,
    least: float,
    over: str = "both",
    classes: Classes = INDEPENDENT,
) -> Tensor:
    """Dice loss against a guess where it is confident; 0 where it nowhere is.

    Args:
        config: whose ``dice_form`` it has.
        logits: (N, K, *spatial) of the view that learns.
        guess: probabilities of the same shape, without gradient; the likeliest outcome is taught.
        least: probability of the likeliest outcome.
        over: as of ``losses.dice``; ``both``, since foreground alone teaches nothing of its
            absence.
    """
    target, kept = classes.likeliest(guess), (classes.sureness(guess) >= least).float()
    p = classes.probability(logits)
    return losses.dice(p, target, config.dice_form, over, kept, classes)
