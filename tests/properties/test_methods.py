"""Properties that every registered method must have, and what some of them have besides."""

import math

import pytest
import torch

from ssl_methods import checks, methods
from ssl_methods.checks.materials import make, make_batch, same
from ssl_methods.config import MethodConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.teacher import Teacher
from ssl_methods.training.loop import step, weighted_sum


@checks.parametrize(methods.names())
def test_every_method(check):
    check()


def trained_on(method, seeds):
    """The network's state after one step on each batch."""
    optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
    torch.manual_seed(0)
    method.train()
    for t, seed in enumerate(seeds):
        step(optimizers, make_batch(seed, dimensions=2), Progress(t, len(seeds)))
        method.after_step(Progress(t, len(seeds)))
    return method.network.state_dict()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("dan", "supervised"),
        ("dtc", "sdf_multitask"),
        ("entropy_minimization", "supervised"),
        ("fixmatch", "supervised"),
        ("ict", "supervised"),
        ("mean_teacher", "supervised"),
        ("mixmatch", "supervised"),
        ("r_drop", "supervised"),
        ("sassnet", "sdf_multitask"),
        ("ua_mt", "supervised"),
    ],
)
@pytest.mark.parametrize("recipe", ["unified", "as_released"])
def test_weight_zero_is_the_supervised_part_step_for_step(name, part, recipe):
    method = make(name, recipe=recipe, dimensions=2, weight=0.0)
    shared = method.config.model_dump(include=set(MethodConfig.model_fields))  # SSL4MIS's or not
    alone = make(part, recipe=recipe, dimensions=2, **shared)
    assert same(trained_on(method, range(3)), trained_on(alone, range(3)))


def averaged(name):
    """Whether a method has one teacher, an average of the network that predicts from the start."""
    teachers = [module for module in make(name).modules() if isinstance(module, Teacher)]
    waits = {"bcp", "sdcl"}  # for their second stage
    return len(teachers) == 1 and name not in waits


@pytest.mark.parametrize("name", [name for name in methods.names() if averaged(name)])
def test_teachers_follow_the_closed_form(name):
    """w'_n = a w'_(n-1) + (1 - a) w_n, a = min(1 - 1/n, decay), n from 1."""
    method = make(name)
    (teacher,) = (module for module in method.modules() if isinstance(module, Teacher))
    optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
    expected = [torch.zeros_like(p, dtype=torch.float64) for p in method.network.parameters()]
    for t in range(6):
        step(optimizers, make_batch(t), Progress(t, 6))
        method.after_step(Progress(t, 6))
        a = min(1 - 1 / (t + 1), method.config.decay)
        weights = [p.detach().double() for p in method.network.parameters()]
        expected = [a * old + (1 - a) * new for old, new in zip(expected, weights, strict=True)]
    for value, mean in zip(teacher.module.parameters(), expected, strict=True):
        torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-7)


# bcp, sdcl: their largest component is found on the CPU. ict, mixmatch: draw from a distribution
# that PyTorch cannot draw from without values. ss_net, caml: take what is rightly predicted.
READS_BACK = {"bcp", "sdcl", "ict", "mixmatch", "ss_net", "caml"}


@pytest.mark.parametrize("name", [n for n in methods.names() if n not in READS_BACK])
def test_no_step_waits_for_the_device(name):
    """Tensors without values refuse to be looked at, as a GPU would have to be waited for."""
    method = make(name, dimensions=2).to("meta")
    batch, progress, training = make_batch(dimensions=2), Progress(90, 100), TrainingConfig()
    batch = Batch(**{field: tensor.to("meta") for field, tensor in vars(batch).items()})
    step(method.optimizers(training), batch, progress)
    method.after_step(progress)


def test_dtc_holds_on_labeled_images_alone():
    """The paper's supervised setting: consistency without any unlabeled image."""
    assert "consistency" in make("dtc").loss(make_batch(unlabeled=0), Progress(3, 10))


def test_dtc_step_against_the_formulas():
    """The as-released loss from the paper's formulas, in NumPy-like torch, on a fixed batch."""
    method, batch = make("dtc", recipe="as_released").eval(), make_batch()
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    with torch.no_grad():
        logits, raw = method.network(images)
        terms = method.loss(batch, Progress(150 * 7 + 3, 6000))
    f1, f2, y = torch.sigmoid(logits), torch.tanh(raw), batch.labels
    dice = 1 - (2 * (f1[:2] * y).sum() + 1e-5) / ((f1[:2] ** 2).sum() + (y**2).sum() + 1e-5)
    level_set = ((f2[:2] - batch.level_sets) ** 2).mean()
    consistency = ((f1 - torch.sigmoid(-1500 * f2)) ** 2).mean()
    lam = math.exp(-5 * (1 - 7 / 40) ** 2)
    torch.testing.assert_close(weighted_sum(terms), dice + 0.3 * level_set + lam * consistency)
    assert set(terms) == {"dice", "level_set", "consistency"}
