"""Sharpening of probabilities: moves them towards 0 or 1 without changing the likeliest class."""

import torch
from torch import Tensor
from torch.nn import functional

from ssl_methods.classes import INDEPENDENT, Classes


def sharpen(probability: Tensor, temperature: float, classes: Classes = INDEPENDENT) -> Tensor:
    """Probabilities of the outcomes to the power of 1 / T, divided by their sum.

    Source: Berthelot et al., MixMatch, NeurIPS 2019, equation 7; of one class p and 1 - p are the
    outcomes. It is written as softmax(log p / T), which is the same and cannot divide 0 by 0. The
    gradient is finite everywhere: p is kept a rounding error away from 0.

    Args:
        probability: (N, K, *spatial), in [0, 1].
        temperature: T > 0; 1 leaves the probability as it is, towards 0 it becomes 0 or 1.

    Returns:
        The sharpened probability, float32, same shape, in [0, 1].
    """
    rounding = torch.finfo(torch.float32).eps
    log_p = classes.outcomes(probability.float()).clamp_min(rounding).log()
    return classes.of_outcomes(functional.softmax(log_p / temperature, 0))
