"""A tiny generated data set and grid: seconds per run."""

from __future__ import annotations

from ssl_methods.config import Experiment, load_experiment


def tiny_experiment(**changes) -> Experiment:
    """Phantoms of 16x16x16, a network of width 2: seconds per run."""
    declared = {
        "name": "tiny",
        "dataset": {
            "name": "tiny",
            "importer": "phantom",
            "shape": [18, 20, 16],
            "train_cases": 6,
            "test_cases": 2,
        },
        "methods": ["supervised", "mean_teacher", "sdf_multitask", "dtc"],
        "budgets": [2],
        "subsets": 1,
        "network": {"width": 2, "levels": 2},
        "training": {
            "iterations": 4,
            "patch_size": [16, 16, 16],
            "log_every": 1,
            "device": "cpu",
        },
    }
    return load_experiment(declared | changes)
