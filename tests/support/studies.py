"""A tiny study, for the tests of tuning."""

from __future__ import annotations

from typing import Any

from ssl_methods.tuning.study import Study, load_studies
from support import tiny

TINY = tiny.TINY | {"training": tiny.TINY["training"] | {"iterations": 10}}


def declare(**changes: Any) -> Study:
    """Five trials of DTC's k and weight with one worker, unless changed."""
    declared = {
        "methods": {"dtc": {"search": ["k", "weight"]}},
        "trials": 5,
        "validation_cases": 2,
        "workers": 1,
        "fresh_seeds": [],
    }
    (study,) = load_studies(TINY | {"studies": {"s": declared | changes}})
    return study
