"""A trial is measured as it was trained: same threads, same determinism, same share of its GPU."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from support.studies import declare

from ssl_methods.devices import claim
from ssl_methods.tuning import objective


@pytest.fixture
def threads():
    before, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    yield
    torch.set_num_threads(before)
    torch.set_deterministic_debug_mode(mode)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_trial_is_measured_as_it_was_trained(
    deterministic, threads, prepared_results, tmp_path, monkeypatch
):
    """Also by a worker that did not train it, since the one that did was killed."""
    training = {
        "iterations": 1,
        "cpu_threads": 2,
        "runs_per_gpu": 3,
        "deterministic": deterministic,
    }
    study = declare(trials=1, training=training)
    run, claimed, computed = study.run("dtc", {}, 100, 0), [], []

    @contextmanager
    def recorded(*asked):
        claimed.append(asked)
        yield torch.device("cpu")

    def measured(*_):
        computed.append((torch.get_num_threads(), torch.get_deterministic_debug_mode()))
        return [], {}

    monkeypatch.setattr(claim, "claim", recorded)
    monkeypatch.setattr(objective, "evaluate_cases", measured)
    objective.train(run, prepared_results, tmp_path)
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")
    objective.measure(run, prepared_results, tmp_path)
    assert claimed == [
        ("cpu", 3, f"train {tmp_path}"),
        ("cpu", 3, f"evaluate {tmp_path}"),
    ]
    assert computed == [(2, 2 if deterministic else 0)]
