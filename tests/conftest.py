"""What several tests share: a tiny generated data set, and the training of a tiny run on it."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch

from ssl_methods.config import Experiment, load_experiment

torch.set_num_threads(1)

# A change that passes once passes again: in CI the examples are the same each time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


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


@pytest.fixture
def experiment():
    return tiny_experiment


@pytest.fixture(scope="session")
def prepared_results(tmp_path_factory) -> Path:
    """A results folder with the tiny data set prepared; copy it to write to it."""
    from ssl_methods.data.prepare import prepare

    results = tmp_path_factory.mktemp("results")
    prepare(tiny_experiment().dataset, results)
    return results
