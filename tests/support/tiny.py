"""A tiny generated data set and grid: seconds per run."""

from __future__ import annotations

from typing import Any

from ssl_methods.config import Experiment, load_experiment

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
    "training": {"iterations": 4, "patch_size": [16, 16, 16], "log_every": 1, "device": "cpu"},
}


def tiny_experiment(**changes) -> Experiment:
    """Four methods, four iterations, unless changed."""
    methods = ["supervised", "mean_teacher", "sdf_multitask", "dtc"]
    return load_experiment(TINY | {"methods": methods} | changes)
