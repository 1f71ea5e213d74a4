"""The supervised loss of a method whose parts are trained side by side: the sum over them."""

from __future__ import annotations

from ssl_methods.methods.base import LossTerms, Term


def summed(first: LossTerms, second: LossTerms) -> LossTerms:
    """Terms of the same names, added name by name; weights are those of the first.

    For two networks a sum gives each the gradient that it has when trained alone. An average would
    halve it, and with it the learning rate.
    """
    return {
        name: Term(term.value + second[name].value, term.weight) for name, term in first.items()
    }
