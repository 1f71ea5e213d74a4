"""A gradient that is not finite stops training, though its loss is."""

import shutil

import pytest
import torch
from support.tiny import tiny_experiment
from torch import nn

from ssl_methods import methods
from ssl_methods.methods.base import Term
from ssl_methods.training.checkpoint import Checkpoint
from ssl_methods.training.gradients import GradientWatch
from ssl_methods.training.loop import Step, TrainingDiverged, inspect
from ssl_methods.training.train import train

TRAINING = {
    "iterations": 6, "patch_size": [16, 16, 16], "log_every": 4, "checkpoint_every": 2,
    "device": "cpu",
}  # fmt: skip


@pytest.fixture
def results(prepared_results, tmp_path):
    return shutil.copytree(prepared_results, tmp_path / "results")


@pytest.mark.parametrize(
    ("from_call", "message"),
    [
        (6, r"gradient of 'network\..+' became nan, its losses being finite, at iteration 6; the la"
            "st checkpoint is"),
        (3, "at iteration 3; the last checkpoint"),
        (1, "at iteration 1; no checkpoint yet"),
    ],
)  # fmt: skip
def test_a_gradient_that_is_nan_stops_training(
    experiment, results, tmp_path, monkeypatch, from_call, message
):
    """sqrt at 0 is 0, and its derivative times 0 is NaN. That of the last iteration counts too."""
    kind = methods.method_class("sdf_multitask")
    original, calls = kind.segmentation_terms, [0]

    def poisoned(self, logits, labels):
        calls[0] += 1
        terms = original(self, logits, labels)
        if calls[0] >= from_call:
            terms["rough"] = Term((0 * logits).abs().sqrt().mean(), 1.0)
        return terms

    monkeypatch.setattr(kind, "segmentation_terms", poisoned)
    run = experiment(training=TRAINING, methods=["sdf_multitask"]).run("sdf_multitask", 2, 0, 0)
    with pytest.raises(TrainingDiverged, match=message):
        train(run, results, tmp_path / "run")
    assert not (tmp_path / "run/model.pt").exists()
    if from_call > 2:
        kept = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
        assert kept["state"]["iteration"] == (from_call - 1) // 2 * 2
        assert all(value.isfinite().all() for value in kept["method"].values())


def test_the_second_optimisers_gradients_are_looked_at_too(
    experiment, results, tmp_path, monkeypatch
):
    kind = methods.method_class("dan")
    original = kind.discriminator_loss

    def poisoned(self, batch, progress):
        (term,) = original(self, batch, progress).values()
        zero = sum((0 * p).abs().sum() for p in self.discriminator.parameters())
        return {"discriminator": Term(term.value + zero.sqrt(), term.weight)}

    monkeypatch.setattr(kind, "discriminator_loss", poisoned)
    run = experiment(training=TRAINING, methods=["dan"]).run("dan", 2, 0, 0)
    with pytest.raises(TrainingDiverged, match=r"gradient of 'discriminator\..+' became nan"):
        train(run, results, tmp_path / "run")


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.zeros(3)) for _ in range(2))
        self.idle = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_parameter_and_the_iteration_are_named(tmp_path, bad):
    module = Two()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    watch = GradientWatch.of(module, [optimizer])
    steps = []
    for t in range(3):
        module.first.grad = torch.tensor([1.0, -3.0, 1e30])  # large, and finite
        module.second.grad = torch.tensor([0.0, bad if t == 1 else 2.0, 0.0])
        optimizer.step()
        steps.append(Step(t, 0.1, {"dice": Term(torch.tensor(1.0), 2.0)}, watch.taken()))
    checkpoint = Checkpoint(tmp_path, "", torch.device("cpu"))
    assert inspect(steps[:1], checkpoint) == {
        "iteration": 1, "learning_rate": 0.1, "loss": 2.0, "dice": 1.0, "weight_dice": 2.0,
    }  # fmt: skip
    with pytest.raises(TrainingDiverged, match=r"gradient of 'second' became .+ at iteration 2"):
        inspect(steps, checkpoint)


def test_a_loss_that_is_not_finite_is_named_before_its_gradients(tmp_path):
    module = Two()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    watch = GradientWatch.of(module, [optimizer])
    module.first.grad = torch.full((3,), float("nan"))
    optimizer.step()
    step = Step(4, 0.1, {"dice": Term(torch.tensor(float("nan")), 1.0)}, watch.taken())
    with pytest.raises(TrainingDiverged, match="loss term 'dice' became nan at iteration 5"):
        inspect([step], Checkpoint(tmp_path, "", torch.device("cpu")))


def test_looking_waits_for_no_device():
    """On tensors without values, whose reading would be an error."""
    with torch.device("meta"):
        module = Two()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    watch = GradientWatch.of(module, [optimizer])
    for parameter in (module.first, module.second):
        parameter.grad = torch.empty(3, device="meta")
    optimizer.step()
    (largest,) = watch.taken()
    assert largest.names == ["first", "second"] and largest.values.shape == (2,)
    assert watch.taken() == []


def test_batches_in_parts_are_looked_at_once():
    from ssl_methods.methods.base import Batch, Progress
    from ssl_methods.training.micro_batches import step_in_parts

    method = methods.create("supervised", network=tiny_experiment().network)
    optimizers = method.optimizers(tiny_experiment().training)
    watch = GradientWatch.of(method, [optimizer for optimizer, _ in optimizers])
    images, labels = torch.rand(2, 1, 16, 16, 16), torch.ones(2, 1, 16, 16, 16)
    step_in_parts(optimizers, Batch(images, labels, images[:0]), Progress(0, 1), None, 2)
    (largest,) = watch.taken()
    held = {n: p.grad.abs().max() for n, p in method.named_parameters() if p.grad is not None}
    assert largest.names == list(held)
    assert torch.equal(largest.values, torch.stack(list(held.values())))
