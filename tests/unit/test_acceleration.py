"""Choices that make a step quicker change no result beyond its rounding."""

import pytest
import torch
import torch.utils.deterministic

from ssl_methods.checks.materials import make, make_batch, same
from ssl_methods.config import TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Progress
from ssl_methods.training.acceleration import accelerate, compile_networks
from ssl_methods.training.loop import step

CPU = torch.device("cpu")


def trained(method, steps=2):
    """Its state after some steps."""
    optimizers = method.train().optimizers(TrainingConfig())
    torch.manual_seed(0)
    for t in range(steps):
        step(optimizers, make_batch(t, dimensions=2), Progress(90 + t, 100))
        method.after_step(Progress(90 + t, 100))
    return method.state_dict()


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", ["dtc", "urpc"])
def test_nothing_reads_memory_that_it_did_not_write(name, deterministic, monkeypatch):
    """With new memory filled with NaN the same bits come out."""
    plain = trained(make(name, dimensions=2))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    filled = trained(make(name, dimensions=2))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    assert same(plain, trained(make(name, dimensions=2))) and same(plain, filled)


@pytest.mark.system
@pytest.mark.parametrize("name", ["dtc", "mean_teacher", "cct", "deep_co_training"])
def test_compiled_networks_learn_the_same(name):
    """One with a teacher, one whose decoders are called apart, one that differentiates twice."""
    plain = trained(make(name, dimensions=2, dropout=0.0), steps=1)
    method = make(name, dimensions=2, dropout=0.0)
    compile_networks(method, "compile", CPU, backend="aot_eager")
    compiled = trained(method, steps=1)
    assert plain.keys() == compiled.keys()
    if name != "cct":  # which draws its noise otherwise
        for key, value in plain.items():
            torch.testing.assert_close(compiled[key], value, rtol=1e-4, atol=1e-5)


def test_graphs_without_a_gpu_are_refused():
    with pytest.raises(UserError, match="needs a GPU"):
        accelerate(make("dtc"), TrainingConfig(compile="graphs"), CPU)
