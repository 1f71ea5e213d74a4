"""Properties that every registered method must have.

Two public frameworks shipped a mean teacher whose consistency had no gradient, and one whose
teacher decayed to zero weights; each of these tests fails for one of them.
"""

import copy
import math
from pathlib import Path

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, RampedConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress, unlabeled_weight
from ssl_methods.methods.parts.teacher import Teacher

NETWORK = NetworkConfig(width=2, levels=2)
RECIPES = ("unified", "as_released")
SEMI_SUPERVISED = [name for name in methods.names() if methods.method_class(name).uses_unlabeled]


def make(name, seed=0, classes=1, dimensions=3, **settings):
    torch.manual_seed(seed)
    return methods.create(name, network=NETWORK, classes=classes, dimensions=dimensions, **settings)


def make_batch(seed=0, unlabeled=2, classes=1, dimensions=3):
    generator = torch.Generator().manual_seed(seed)
    space = (16,) * dimensions
    labels = (torch.rand(2, classes, *space, generator=generator) > 0.7).float()
    return Batch(
        labeled_images=torch.randn(2, 1, *space, generator=generator),
        labels=labels,
        unlabeled_images=torch.randn(unlabeled, 1, *space, generator=generator),
        level_sets=1 - 2 * labels * torch.rand(labels.shape, generator=generator),
    )


def total(terms):
    return sum(term.weight * term.value for term in terms.values())


def trajectory(method, batches, iterations=4, seed=0):
    """Weights after a few steps of SGD."""
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(
        [p for p in method.parameters() if p.requires_grad], lr=0.05, momentum=0.9
    )
    method.train()
    for t in range(iterations):
        optimizer.zero_grad()
        total(method.loss(batches[t % len(batches)], Progress(t, iterations))).backward()
        optimizer.step()
        method.after_step(Progress(t, iterations))
    return {name: tensor.clone() for name, tensor in method.network.state_dict().items()}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=0, atol=0)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize(("classes", "dimensions"), [(1, 3), (3, 3), (2, 2)])
def test_learns_one_batch(name, recipe, classes, dimensions):
    """The loss is finite, and falls when one batch is seen again and again."""
    method = make(name, classes=classes, dimensions=dimensions, recipe=recipe)
    batch = make_batch(classes=classes, dimensions=dimensions)
    before = total(method.loss(batch, Progress(0, 30)))
    trajectory(method, [batch], iterations=30)
    after = total(method.loss(batch, Progress(0, 30)))
    assert math.isfinite(before)
    assert after < before


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize(("classes", "dimensions"), [(1, 3), (3, 2)])
def test_predicts_probabilities(name, classes, dimensions):
    method = make(name, classes=classes, dimensions=dimensions).eval()
    image = torch.randn(2, 1, *(16,) * dimensions)
    with torch.no_grad():
        probability = method.predict(image)
    assert probability.shape == (2, classes, *image.shape[2:])
    assert probability.dtype == torch.float32
    assert probability.min() >= 0 and probability.max() <= 1


@pytest.mark.parametrize("name", SEMI_SUPERVISED)
def test_unlabeled_images_have_a_gradient(name):
    """The unlabeled images alone (labeled part removed from the sum) move the network's weights."""
    batch = make_batch()
    first, second = make(name), make(name)
    other = Batch(
        batch.labeled_images,
        batch.labels,
        make_batch(seed=1).unlabeled_images,
        batch.level_sets,
    )
    gradients = []
    for method, seen in ((first, batch), (second, other)):
        method.eval()  # without dropout and batch statistics they differ through their term alone
        torch.manual_seed(0)
        total(method.loss(seen, Progress(10, 10))).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in method.network.parameters() if p.grad is not None])
        )
    assert gradients[0].isfinite().all()
    assert (gradients[0] - gradients[1]).norm() > 1e-6 * gradients[0].norm()


@pytest.mark.parametrize("name", SEMI_SUPERVISED)
def test_unlabeled_term_has_a_gradient(name):
    method, batch = make(name), make_batch()
    terms = method.loss(batch, Progress(10, 10))
    supervised = {"cross_entropy", "dice", "level_set"}
    for term in (term for key, term in terms.items() if key not in supervised):
        assert term.weight > 0
        method.zero_grad()
        term.value.backward(retain_graph=True)
        norm = torch.cat(
            [p.grad.flatten() for p in method.parameters() if p.grad is not None]
        ).norm()
        assert norm.isfinite() and norm > 0


@pytest.mark.parametrize("name", SEMI_SUPERVISED)
def test_weight_zero_does_not_see_unlabeled_images(name):
    """Same weights after four steps, whatever the unlabeled images and whether there are any."""
    labeled = make_batch()

    def run(unlabeled):
        batch = Batch(labeled.labeled_images, labeled.labels, unlabeled, labeled.level_sets)
        return trajectory(make(name, weight=0.0), [batch])

    images = labeled.unlabeled_images
    reference = run(images)
    assert_equal(run(100 * images), reference)
    assert_equal(run(images[:0]), reference)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("name", "part"), [("mean_teacher", "supervised"), ("dtc", "sdf_multitask")]
)
def test_weight_zero_is_the_supervised_part_step_for_step(name, part, recipe):
    batches = [make_batch(seed) for seed in range(3)]
    with_weight_zero = trajectory(make(name, recipe=recipe, weight=0.0), batches)
    assert_equal(with_weight_zero, trajectory(make(part, recipe=recipe), batches))


@pytest.mark.parametrize("name", methods.names())
def test_all_labels_and_no_unlabeled_images(name):
    terms = make(name).loss(make_batch(unlabeled=0), Progress(3, 10))
    assert terms and all(term.value.isfinite() for term in terms.values())


def test_dtc_holds_on_labeled_images_alone():
    """The paper's supervised setting: consistency without any unlabeled image."""
    assert "consistency" in make("dtc").loss(make_batch(unlabeled=0), Progress(3, 10))


@pytest.mark.parametrize("name", methods.names())
def test_teachers_get_no_gradient_and_follow_the_closed_form(name):
    """EMA over the run: w'_n = a_n w'_(n-1) + (1 - a_n) w_n, a_n = min(1 - 1/n, decay), n from
    1."""
    method = make(name)
    teachers = [module for module in method.modules() if isinstance(module, Teacher)]
    if not teachers:
        assert all(p.requires_grad for p in method.parameters())
        return
    (teacher,), decay = teachers, method.config.decay
    optimizer = torch.optim.SGD(method.network.parameters(), lr=0.05)
    expected = [torch.zeros_like(p, dtype=torch.float64) for p in method.network.parameters()]
    for t in range(6):
        optimizer.zero_grad()
        total(method.loss(make_batch(t), Progress(t, 6))).backward()
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
        optimizer.step()
        method.after_step(Progress(t, 6))
        a = min(1 - 1 / (t + 1), decay)
        weights = method.network.parameters()
        expected = [
            a * old + (1 - a) * new.detach().double()
            for old, new in zip(expected, weights, strict=True)
        ]
    for value, mean in zip(teacher.module.parameters(), expected, strict=True):
        torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", methods.names())
def test_state_dict_restores_the_prediction(name):
    method, other = make(name, seed=0), make(name, seed=1)
    trajectory(method, [make_batch()])
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    image = make_batch().labeled_images
    with torch.no_grad():
        torch.testing.assert_close(
            method.eval().predict(image), other.eval().predict(image), rtol=0, atol=0
        )


@pytest.mark.parametrize("name", SEMI_SUPERVISED)
@pytest.mark.parametrize("recipe", RECIPES)
def test_ramp_end_points(name, recipe):
    config = make(name, recipe=recipe).config
    assert isinstance(config, RampedConfig)
    start, end = (
        unlabeled_weight(config, Progress(0, 6000)),
        unlabeled_weight(config, Progress(5999, 6000)),
    )
    assert start == pytest.approx(config.weight * math.exp(-5))
    assert end == pytest.approx(config.weight, rel=0.004)


@pytest.mark.parametrize("name", methods.names())
def test_released_loop_keeps_the_batch(name):
    training = TrainingConfig()
    released = methods.method_class(name).Config.released_training(training)
    batch = training.labeled_batch + training.unlabeled_batch
    assert released.labeled_batch + released.unlabeled_batch == batch
    assert methods.method_class(name).Config.released_training(released) == released


@pytest.mark.parametrize("name", methods.names())
def test_file_is_short_and_documented(name):
    import importlib

    module = importlib.import_module(methods.modules()[name])
    source = Path(module.__file__).read_text()
    assert len(source.splitlines()) <= 85
    assert "Deviations" in module.__doc__
    for field in methods.method_class(name).Config.model_fields.values():
        assert field.description


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
    torch.testing.assert_close(total(terms), dice + 0.3 * level_set + lam * consistency)
    assert set(terms) == {"dice", "level_set", "consistency"}
