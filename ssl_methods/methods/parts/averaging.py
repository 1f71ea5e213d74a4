"""The supervised loss of a method with several outputs: the mean over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ssl_methods.methods.base import LossTerms, Term


def average_terms(outputs: Sequence[LossTerms]) -> LossTerms:
    """Terms of the same names and weights, one set for each output (at least one), averaged."""
    return {
        name: Term(torch.stack([terms[name].value for terms in outputs]).mean(), weight)
        for name, (_, weight) in outputs[0].items()
    }
