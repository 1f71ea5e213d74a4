"""A tiny study, for the tests of tuning."""

from __future__ import annotations

from typing import Any

from ssl_methods.tuning.study import Study, load_studies

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {
        "name": "tiny",
        "importer": "phantom",
        "shape": [18, 20, 16],
        "train_cases": 6,
        "test_cases": 2,
    },
    "methods": ["supervised", "dtc"],
    "budgets": [2],
    "subsets": 1,
    "network": {"width": 2, "levels": 2},
    "training": {"iterations": 10, "patch_size": [16, 16, 16], "log_every": 1, "device": "cpu"},
}


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
