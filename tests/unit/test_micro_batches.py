"""Batches taken in parts: the gradient by closed form, and what a run does that does not fit."""

import json
import shutil

import pytest
import torch
from torch import nn

from ssl_methods import methods
from ssl_methods.config import MethodConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Method, Progress, Term
from ssl_methods.training import loop
from ssl_methods.training.loop import step
from ssl_methods.training.micro_batches import divided, more_parts, step_in_parts
from ssl_methods.training.train import train


class Linear(Method):
    """mean (w x_labeled - y)^2 + 0.5 mean (w x_unlabeled)^2: its gradient is known."""

    uses_unlabeled = True

    def __init__(self):
        nn.Module.__init__(self)
        self.config, self.weight = MethodConfig(), nn.Parameter(torch.tensor(2.0))

    def loss(self, batch, progress):
        known = ((self.weight * batch.labeled_images - batch.labels) ** 2).mean()
        return {
            "known": Term(known, 1.0),
            "unknown": Term(((self.weight * batch.unlabeled_images) ** 2).mean(), 0.5),
        }


def make_batch(labeled, unlabeled, dimensions=1, size=3, level_sets=True):
    shape = (1, *[size] * dimensions)
    return Batch(
        labeled_images=torch.randn(labeled, *shape),
        labels=(torch.rand(labeled, *shape) > 0.5).float(),
        unlabeled_images=torch.randn(unlabeled, *shape),
        level_sets=torch.rand(labeled, *shape) * 2 - 1 if level_sets else None,
    )


@pytest.mark.parametrize(("labeled", "unlabeled", "parts"), [(4, 2, 2), (4, 4, 4), (6, 3, 3)])
def test_the_gradient_is_the_mean_by_closed_form(labeled, unlabeled, parts):
    batch, method = make_batch(labeled, unlabeled), Linear()
    optimizer = torch.optim.SGD([method.weight], lr=0.1)
    terms = step_in_parts([(optimizer, method.loss)], batch, Progress(0, 1), None, parts)
    x, y, u = batch.labeled_images, batch.labels, batch.unlabeled_images
    gradient = (2 * x * (2 * x - y)).mean() + 0.5 * (2 * 2 * u * u).mean()
    assert float(method.weight.grad) == pytest.approx(float(gradient), rel=1e-5)
    assert method.weight.item() == pytest.approx(2 - 0.1 * float(gradient), rel=1e-5)
    assert float(terms["known"].value) == pytest.approx(float(((2 * x - y) ** 2).mean()), rel=1e-5)
    assert terms["unknown"].weight == 0.5


def test_parts_hold_every_patch_once_and_in_order():
    batch = make_batch(4, 2)
    parts = divided(batch, 2)
    assert [len(part.labeled_images) for part in parts] == [2, 2]
    assert [len(part.unlabeled_images) for part in parts] == [1, 1]
    for name in ("labeled_images", "labels", "unlabeled_images", "level_sets"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(batch, name))
    (one, two) = divided(make_batch(2, 0, level_sets=False), 2)
    assert len(one.unlabeled_images) == len(two.unlabeled_images) == 0 and one.level_sets is None


@pytest.mark.parametrize("name", ["supervised", "mean_teacher", "dtc", "dan", "sassnet", "bcp"])
def test_one_part_is_a_step_as_it_is(experiment, name):
    """For methods with a second optimiser too, whose loss uses what the first has made."""
    batch, states = make_batch(2, 2, dimensions=3, size=16), []
    for take in (step, lambda *given: step_in_parts(*given, None, 1)):
        torch.manual_seed(0)
        method = methods.create(name, network=experiment().network)
        optimizers = method.optimizers(TrainingConfig())
        for t in range(2):
            take(optimizers, batch, Progress(t, 2))
        states.append(method.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["dan", "sassnet"])
def test_a_discriminator_sees_the_maps_of_its_own_part(experiment, name):
    """Two parts that hold the same patches are, without dropout, a batch of one of them."""
    part = make_batch(1, 1, dimensions=3, size=16)
    twice = Batch(*(torch.cat([value, value]) for value in vars(part).values()))
    found = []
    for batch, parts in ((part, 1), (twice, 2)):
        torch.manual_seed(0)
        method = methods.create(name, network=experiment().network)
        for module in method.modules():
            if "Dropout" in type(module).__name__:
                module.p = 0.0
        optimizers = method.optimizers(TrainingConfig())
        found.append(step_in_parts(optimizers, batch, Progress(0, 1), None, parts))
    for term, (value, _) in found[0].items():
        assert float(found[1][term].value) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "name", "expected"),
    [
        (2, 2, "dtc", [2]),
        (4, 4, "dtc", [2, 4]),
        (6, 3, "dtc", [3]),
        (2, 3, "dtc", []),
        (2, 3, "supervised", [2]),
        (4, 0, "dtc", [2, 4]),
        (2, 2, "bcp", []),
        (4, 4, "bcp", [2]),
    ],
)
def test_which_numbers_of_parts_are_tried(experiment, labeled, unlabeled, name, expected):
    method = methods.create(name, network=experiment().network)
    training = TrainingConfig(labeled_batch=labeled, unlabeled_batch=unlabeled)
    tried, parts = [], more_parts(1, method, training)
    while parts is not None:
        tried.append(parts)
        parts = more_parts(parts, method, training)
    assert tried == expected


# ---- a run that does not fit ---------------------------------------------------------------------


@pytest.fixture
def results(prepared_results, tmp_path):
    return shutil.copytree(prepared_results, tmp_path / "results")


def tiny_run(experiment, **training):
    defaults = {
        "iterations": 6,
        "patch_size": [16, 16, 16],
        "log_every": 2,
        "checkpoint_every": 2,
        "device": "cpu",
    }
    return experiment(training=defaults | training, methods=["dtc"]).run("dtc", 2, 0, 0)


def too_small_for(monkeypatch, patches, from_iteration=1):
    """Memory for fewer than so many patches at a time, from an iteration on."""
    original = methods.method_class("dtc").loss

    def loss(self, batch, progress):
        size = len(batch.labeled_images) + len(batch.unlabeled_images)
        if size >= patches and progress.t + 1 >= from_iteration:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore")
        return original(self, batch, progress)

    monkeypatch.setattr(methods.method_class("dtc"), "loss", loss)


def provenance(folder):
    return json.loads((folder / "provenance.json").read_text())


def test_a_run_that_fits_is_not_divided(experiment, results, tmp_path):
    train(tiny_run(experiment), results, tmp_path / "run")
    assert provenance(tmp_path / "run")["micro_batches"] == []


@pytest.mark.parametrize(("fails_at", "goes_back_to"), [(1, 0), (4, 2)])
def test_a_run_that_does_not_fit_goes_back_and_is_divided(
    experiment, results, tmp_path, monkeypatch, caplog, fails_at, goes_back_to
):
    too_small_for(monkeypatch, 4, fails_at)
    train(tiny_run(experiment), results, tmp_path / "run")
    assert (
        f"out of GPU memory at iteration {fails_at} with 2 labeled and 2 unlabeled" in caplog.text
    )
    assert "each batch in 2 parts" in caplog.text
    found = provenance(tmp_path / "run")
    (record,) = found["micro_batches"]
    assert record["after_iteration"] == goes_back_to
    assert (record["parts"], record["patches_of_a_part"]) == (2, [1, 1])
    assert "batch statistics" in record["changes"]
    assert found["resumed_from"] == ([goes_back_to] if goes_back_to else [])
    rows = (tmp_path / "run/history.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [1, 2, 4, 6]


def test_it_is_divided_further_until_it_fits(experiment, results, tmp_path, monkeypatch):
    too_small_for(monkeypatch, 4)
    run = tiny_run(experiment, labeled_batch=4, unlabeled_batch=4)
    train(run, results, tmp_path / "run")
    assert [entry["parts"] for entry in provenance(tmp_path / "run")["micro_batches"]] == [4]


def test_resumed_it_keeps_to_its_parts_to_the_bit(experiment, results, tmp_path, monkeypatch):
    """Also where memory would now suffice."""
    too_small_for(monkeypatch, 4)
    train(tiny_run(experiment), results, tmp_path / "whole")
    original, left = loop.step_in_parts, iter(range(5))

    class Killed(BaseException):
        pass

    def step_or_die(*given):
        if next(left, None) is None:
            raise Killed
        return original(*given)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "step_in_parts", step_or_die)
        train(tiny_run(experiment), results, tmp_path / "broken")
    monkeypatch.undo()
    train(tiny_run(experiment), results, tmp_path / "broken")
    assert (tmp_path / "whole/model.pt").read_bytes() == (tmp_path / "broken/model.pt").read_bytes()
    assert provenance(tmp_path / "broken")["resumed_from"] == [4]
    records = [provenance(tmp_path / name)["micro_batches"] for name in ("whole", "broken")]
    assert records[0] == records[1] != []


def test_a_run_that_cannot_fit_fails_with_one_line(experiment, results, tmp_path, monkeypatch):
    too_small_for(monkeypatch, 1)
    with pytest.raises(UserError) as failure:
        train(tiny_run(experiment), results, tmp_path / "run")
    line = str(failure.value)
    assert "\n" not in line
    assert "out of GPU memory at iteration 1 with 1 labeled and 1 unlabeled patches" in line
    assert "training.patch_size" in line and "9 GiB" in line
    assert not (tmp_path / "run/model.pt").exists()
