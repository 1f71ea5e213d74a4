"""What several tests share: a tiny generated data set, and the training of a tiny run on it."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch
from support.tiny import tiny_experiment

torch.set_num_threads(1)

# A change that passes once passes again: in CI the examples are the same each time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


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


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Stands for training a study's trials; what was asked for is listed."""
    from support.studies import answer_in_closed_form

    return answer_in_closed_form(monkeypatch)
