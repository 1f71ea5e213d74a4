"""The properties that every method must have: what `methods check NAME` and the tests go through.

Two public frameworks shipped a mean teacher whose consistency had no gradient, and one whose
teacher decayed to zero weights. Each check catches a fault of that kind. All run on the CPU, on
images of 16 voxels a side and the smallest network that the method accepts.
"""

from ssl_methods.checks.registry import CHECKS, check_method, checks_of, parametrize

__all__ = ["CHECKS", "check_method", "checks_of", "parametrize"]
