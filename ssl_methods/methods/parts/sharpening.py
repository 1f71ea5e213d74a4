"""Sharpening of probabilities: moves them towards 0 or 1 without changing the more likely class."""

import torch
from torch import Tensor


def sharpen(probability: Tensor, temperature: float) -> Tensor:
    """Sharpen Bernoulli probabilities: p^(1/T) / (p^(1/T) + (1 - p)^(1/T)).

    Source: Berthelot et al., MixMatch, NeurIPS 2019, equation 7, with the two classes p and 1 - p.
    It is written as sigmoid(logit(p) / T), which is the same and cannot divide 0 by 0. The
    gradient is finite everywhere: p is kept a rounding error away from 0 and 1.

    Args:
        probability: any shape, in [0, 1].
        temperature: T > 0; 1 leaves the probability as it is, towards 0 it becomes 0 or 1.

    Returns:
        The sharpened probability, float32, same shape, in [0, 1].
    """
    rounding = torch.finfo(torch.float32).eps
    logit = torch.logit(probability.float(), eps=rounding)
    return torch.sigmoid(logit / temperature)
