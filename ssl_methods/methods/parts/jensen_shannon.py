"""Jensen-Shannon divergence of predictions: how much several views disagree."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_methods.classes import INDEPENDENT, Classes


def jensen_shannon(first: Tensor, second: Tensor, classes: Classes = INDEPENDENT) -> Tensor:
    """H((p + q) / 2) - (H(p) + H(q)) / 2, averaged, of Bernoulli p, q given as logits.

    Computed as the mean of KL(p || m) and KL(q || m), m = (p + q) / 2, in logarithms: finite, with
    finite gradients, for logits of any size.

    Args:
        first, second: logits of the two views, of the same shape.

    Returns:
        Scalar in [0, ln 2], float32.
    """
    log_p = torch.stack([classes.log_outcomes(z) for z in (first, second)], 1)  # outcome, view, ...
    log_mean = log_p.logsumexp(dim=1, keepdim=True) - math.log(2)
    return (log_p.exp() * (log_p - log_mean)).sum(dim=0).mean()
