"""The properties that every method must have: what `methods check NAME` and the tests go through.

Two public frameworks shipped a mean teacher whose consistency had no gradient, and one whose
teacher decayed to zero weights. Each check catches a fault of that kind. All run on the CPU, on
images of 16 voxels a side and the smallest network that the method accepts.
"""

from __future__ import annotations

import inspect
import math
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, RampedConfig, Run, TrainingConfig, load_experiment
from ssl_methods.data.prepare import prepare
from ssl_methods.data.sampling import Sampler
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Batch, LossTerms, Method, Progress
from ssl_methods.methods.parts.teacher import Teacher
from ssl_methods.training.checkpoint import Checkpoint
from ssl_methods.training.history import Observer
from ssl_methods.training.loop import fit, step, weighted_sum
from ssl_methods.training.train import train

LONGEST_FILE = 90  # lines, of a method in this package
SIZE = 16  # voxels a side
CPU = torch.device("cpu")
Kind = type[Method]


class Broken(Exception):
    """The method lacks a property; the message says how."""


@dataclass(frozen=True)
class Check:
    """One property, and which methods it concerns."""

    holds: Callable[[str], None]
    concerns: Callable[[Kind], bool]


CHECKS: dict[str, Check] = {}


def check(concerns: Callable[[Kind], bool]) -> Callable[[Callable[[str], None]], None]:
    """Enter a function of a method's name, which raises if the property is absent, by its name."""

    def enter(holds: Callable[[str], None]) -> None:
        CHECKS[holds.__name__] = Check(holds, concerns)

    return enter


def every(kind: Kind) -> bool:
    return True


def trained(kind: Kind) -> bool:
    return kind.role != "control"


def semi_supervised(kind: Kind) -> bool:
    return kind.uses_unlabeled


def ramped(kind: Kind) -> bool:
    return kind.uses_unlabeled and issubclass(kind.Config, RampedConfig)


def checks_of(name: str) -> list[str]:
    """The checks that concern a method."""
    kind = methods.method_class(name)
    return [title for title, check in CHECKS.items() if check.concerns(kind)]


def check_method(name: str) -> bool:
    """Print a line per check: ok, or FAILED and why. Returns whether all are ok.

    Raises UserError if there is no such method, or its file cannot be imported.
    """
    file, sound = inspect.getfile(methods.method_class(name)), True
    torch.set_num_threads(1)  # on networks this small, more of them take longer
    for title in checks_of(name):
        try:
            CHECKS[title].holds(name)
            fault = None
        except Exception as error:
            fault = in_one_line(error, file)
        sound &= fault is None
        line = f"{'FAILED' if fault else 'ok':8}{title.replace('_', ' ')}"
        print(f"{line}: {fault}" if fault else line, flush=True)
    return sound


def in_one_line(error: Exception, file: str) -> str:
    """What went wrong and, if in the method's file, where."""
    message = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, Broken):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    place = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {message}{place}"


# ---- what the checks are made of -----------------------------------------------------------------


def need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Broken(otherwise)


def recipes(name: str) -> list[str]:
    """Both, if they differ."""
    differ = methods.method_class(name).Config.as_released
    return ["unified", "as_released"] if differ else ["unified"]


@cache
def levels(name: str) -> int:
    """The fewest resolutions with which the method can be made."""
    for levels in range(2, 5):
        try:
            methods.create(name, network=NetworkConfig(width=2, levels=levels))
        except UserError:
            continue
        return levels
    return 5


def make(
    name: str,
    *,
    seed: int = 0,
    classes: int = 1,
    dimensions: int = 3,
    dropout: float = 0.5,
    **settings: Any,
) -> Method:
    """A method as it is before training."""
    network = NetworkConfig(width=2, levels=levels(name), dropout=dropout)
    torch.manual_seed(seed)  # after the levels, the first question for which makes networks
    method = methods.create(
        name, network=network, classes=classes, dimensions=dimensions, **settings
    )
    method.before_training(list(make_batch(classes=classes, dimensions=dimensions).labels))
    return method


def make_batch(
    seed: int = 0, *, unlabeled: int = 2, classes: int = 1, dimensions: int = 3
) -> Batch:
    """Noise with one bright box per class, the brighter the higher the class: quickly learnt."""
    generator = torch.Generator().manual_seed(seed)
    space = (SIZE,) * dimensions
    labels = torch.zeros(2 + unlabeled, classes, *space)
    for mask in labels.flatten(0, 1):
        corner = torch.randint(1, 4, (dimensions,), generator=generator).tolist()
        mask[tuple(slice(start, start + 12) for start in corner)] = 1
    brightness = torch.arange(2.0, 2 * classes + 1, 2).view(-1, *[1] * dimensions)
    noise = 0.5 * torch.randn(2 + unlabeled, 1, *space, generator=generator)
    images = (brightness * labels).sum(1, keepdim=True) + noise
    distances = [signed_distance(mask.numpy()) for mask in labels[:2].flatten(0, 1)]
    level_sets = torch.from_numpy(np.stack(distances)).view(2, classes, *space)
    return Batch(images[:2], labels[:2], images[2:], level_sets)


def run(
    method: Method,
    batch: Batch,
    iterations: int = 4,
    rate: float = 0.1,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
) -> Method:
    """Train on one batch, through all stages that the method may have; every term is finite."""
    optimizers = method.optimizers(TrainingConfig(iterations=iterations, learning_rate=rate))
    autocast = torch.autocast("cpu", precision, enabled=precision != torch.float32)
    torch.manual_seed(seed)
    method.train()
    for t in range(iterations):
        terms = step(optimizers, batch, Progress(t, iterations), autocast)
        method.after_step(Progress(t, iterations))
        check_terms(terms, f" at iteration {t + 1} of {iterations}")
    return method


def check_terms(terms: LossTerms, where: str = "") -> None:
    for name, term in terms.items():
        need(bool(term.value.isfinite()), f"term '{name}' is {float(term.value)}{where}")
        need(math.isfinite(term.weight), f"the weight of '{name}' is {term.weight}{where}")


def without_batch_statistics(method: Method) -> Method:
    """In training mode, dropout included, but no image of a batch has a say in another's result."""
    method.train()
    for module in method.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return method


def gradients(method: Method) -> Tensor:
    """Of the network that predicts."""
    found = [p.grad.flatten() for p in method.network.parameters() if p.grad is not None]
    need(bool(found), "no parameter of the network has a gradient")
    return torch.cat(found)


def same(left: Any, right: Any) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(left, Tensor):
        return left.shape == right.shape and bool((left == right).all())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@contextmanager
def tiny_run(name: str, **training: Any) -> Iterator[tuple[Run, Path, Store]]:
    """A run on generated cases, a folder of results of its own, and the prepared store."""
    declared = load_experiment(
        {
            "name": "check",
            "dataset": {
                "name": "check",
                "importer": "phantom",
                "shape": [18, 20, 16],
                "train_cases": 6,
                "test_cases": 1,
            },
            "methods": [name],
            "budgets": [2],
            "network": {"width": 2, "levels": levels(name)},
            "training": {"patch_size": [SIZE] * 3, "device": "cpu", **training},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        store = Store.open(prepare(declared.dataset, results))
        yield declared.run(name, 2, 0, 0), results, store


# ---- the checks ----------------------------------------------------------------------------------


@check(trained)
def learns_one_batch(name: str) -> None:
    """Seen again and again, the labels of one batch are predicted better and better."""
    shapes = [("unified", 1, 3), ("unified", 3, 3), ("unified", 2, 2)]
    shapes += [(recipe, 2, 2) for recipe in recipes(name)[1:]]
    for recipe, classes, dimensions in shapes:
        shape = {"classes": classes, "dimensions": dimensions}
        method, batch = make(name, recipe=recipe, dropout=0.0, **shape), make_batch(**shape)

        def error(method: Method = method, batch: Batch = batch) -> float:
            with torch.no_grad():
                probability = method.predict(batch.labeled_images)
            clamped = probability.clamp(1e-6, 1 - 1e-6)
            return float(functional.binary_cross_entropy(clamped, batch.labels))

        before, _, after = error(), run(method, batch, iterations=6), error()
        need(
            after < before,
            f"its cross-entropy on that batch went from {before:.3f} to {after:.3f}"
            f" ({recipe}, {classes} classes, {dimensions}D)",
        )


@check(every)
def predicts_probabilities(name: str) -> None:
    """float32 in [0, 1], one channel per class, as large as the image."""
    for classes, dimensions in [(1, 3), (3, 2)]:
        method = make(name, classes=classes, dimensions=dimensions).eval()
        image = torch.randn(2, 1, *(SIZE, 2 * SIZE, SIZE)[:dimensions])
        with torch.no_grad():
            found = method.predict(image)
        wanted = (2, classes, *image.shape[2:])
        need(tuple(found.shape) == wanted, f"has shape {tuple(found.shape)}, not {wanted}")
        need(found.dtype == torch.float32, f"is {found.dtype}, not torch.float32")
        low, high = float(found.min()), float(found.max())
        need(low >= 0 and high <= 1, f"ranges from {low:.3g} to {high:.3g}, not within 0 and 1")


@check(semi_supervised)
def learns_from_unlabeled_images(name: str) -> None:
    """Other unlabeled images give other gradients, and every term has one.

    After some steps, so that a method that waits until it is sure has something to be sure of.
    """
    batch = make_batch()
    other = replace(batch, unlabeled_images=make_batch(seed=1).unlabeled_images)
    method = without_batch_statistics(run(make(name), batch, iterations=20, rate=0.2))
    seen = []
    for images in (batch, other):
        torch.manual_seed(0)
        method.zero_grad()
        terms = method.loss(images, Progress(99, 100))
        for title, term in terms.items():
            need(term.value.requires_grad, f"term '{title}' has no gradient")
        weighted_sum(terms).backward()
        seen.append(gradients(method))
    need(all(bool(gradient.isfinite().all()) for gradient in seen), "a gradient is not finite")
    need(
        float((seen[0] - seen[1]).norm()) > 1e-6 * float(seen[0].norm()),
        "the network's gradient is the same, whatever the unlabeled images",
    )


@check(ramped)
def ignores_unlabeled_images_at_weight_0(name: str) -> None:
    """Four steps end in the same state, whatever the unlabeled images and whether there are any."""
    batch = make_batch()

    def state(images: Tensor) -> dict[str, Tensor]:
        method = run(make(name, weight=0.0), replace(batch, unlabeled_images=images))
        return method.state_dict()

    images = batch.unlabeled_images
    expected = state(images)
    need(same(state(100 * images), expected), "other unlabeled images lead to other weights")
    need(same(state(images[:0]), expected), "without unlabeled images, other weights result")


@check(trained)
def trains_where_all_cases_are_labeled(name: str) -> None:
    """There are no unlabeled images then."""
    for recipe in recipes(name):
        batch = make_batch(unlabeled=0, dimensions=2)
        method = run(make(name, recipe=recipe, dimensions=2), batch)
        need(
            all(bool(value.isfinite().all()) for value in method.state_dict().values()),
            "weights are not finite",
        )


@check(trained)
def trains_in_bfloat16(name: str) -> None:
    """The precision that `auto` means on a GPU."""
    run(make(name, classes=2), make_batch(classes=2), precision=torch.bfloat16)


@check(every)
def trains_every_parameter(name: str) -> None:
    """Each that requires a gradient has an optimiser and is given one; a control has none."""
    method = make(name)
    optimizers = method.optimizers(TrainingConfig())
    need(bool(optimizers) == trained(type(method)), "a control alone has nothing to train")
    stepped = {
        id(parameter)
        for optimizer, _ in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    if optimizers:
        run(method, make_batch())
    for title, parameter in method.named_parameters():
        if parameter.requires_grad:
            need(id(parameter) in stepped, f"no optimiser has '{title}'")
            need(parameter.grad is not None, f"no loss has a gradient for '{title}'")


@check(trained)
def teachers_follow_without_gradient(name: str) -> None:
    """They move as the student does, keep its size, and no loss reaches them."""
    method = make(name)
    teachers = [module for module in method.modules() if isinstance(module, Teacher)]
    if not teachers:
        return
    before = [[p.clone() for p in teacher.parameters()] for teacher in teachers]
    run(method, make_batch(), iterations=6)
    for teacher, start in zip(teachers, before, strict=True):
        now = list(teacher.parameters())
        need(not any(p.requires_grad for p in now), "a teacher's weights require a gradient")
        need(all(p.grad is None for p in now), "a teacher's weights were given a gradient")
        need(not same(now, start), "after six steps a teacher is what it was before")
        size, was = (float(torch.cat([p.flatten() for p in ps]).norm()) for ps in (now, start))
        need(
            was / 2 < size < was * 2, f"a teacher's weights went from norm {was:.3g} to {size:.3g}"
        )


@check(every)
def is_restored_from_its_state_dict(name: str) -> None:
    """A fresh method that is given it predicts the same bits."""
    method, image = make(name), make_batch().labeled_images
    if trained(type(method)):
        run(method, make_batch())
    torch.manual_seed(1)
    network = NetworkConfig(width=2, levels=levels(name))
    other = methods.create(name, network=network)
    other.load_state_dict(method.state_dict())
    with torch.no_grad():
        found, expected = other.eval().predict(image), method.eval().predict(image)
    need(same(found, expected), "it predicts otherwise: something is not in the state dict")


@check(ramped)
def warms_up_as_the_settings_say(name: str) -> None:
    """From exp(-5) of the weight to all of it; or all of it from the start."""
    batch = make_batch()
    for recipe in recipes(name):
        method = make(name, recipe=recipe)
        assert isinstance(method.config, RampedConfig)
        start, end = (
            {title: term.weight for title, term in method.loss(batch, Progress(t, 6000)).items()}
            for t in (0, 5999)
        )
        expected = math.exp(-5) if method.config.ramp != "constant" else 1.0
        shares = [start[title] / end[title] for title in start if end.get(title)]
        need(
            math.isclose(min(shares, default=0.0), expected, rel_tol=0.004),
            f"with {recipe} settings, no weight begins at {expected:.2g} of what it ends at",
        )


@check(every)
def keeps_the_batch_of_the_released_loop(name: str) -> None:
    """As many patches per step as in the unified recipe, and asked twice it says the same."""
    config, training = methods.method_class(name).Config, TrainingConfig()
    released = config.released_training(training)
    batch = training.labeled_batch + training.unlabeled_batch
    count = released.labeled_batch + released.unlabeled_batch
    need(count == batch, f"released_training makes a batch of {batch} one of {count}")
    need(config.released_training(released) == released, "released_training is not idempotent")


@check(every)
def goes_through_the_training_loop(name: str) -> None:
    """Thirty iterations, from scans to `model.pt`, and back from it to a method."""
    with tiny_run(name, iterations=30) as (run, results, store):
        train(run, results, results / "run")
        state = methods.restore(results / "run", store).state_dict()
    for title, value in state.items():
        need(bool(value.isfinite().all()), f"'{title}' is not finite after 30 iterations")


@check(trained)
def resumes_to_the_same_bits(name: str) -> None:
    """Stopped in the sixth of nine iterations, and resumed from the checkpoint after the fourth."""

    class Stop(Exception):
        """Ends a run in the midst of it."""

    class StopsAt(Sampler):
        last = 9

        def batch(self, t: int) -> Batch:
            if t == self.last:
                raise Stop
            return super().batch(t)

    def go(folder: Path, seed: int, stop: int) -> Any:
        torch.manual_seed(seed)
        method = methods.build_for(run, store)
        method.before_training(list(make_batch().labels))
        ids = store.ids("train")
        unlabeled = ids[2:] if method.wants_unlabeled else []
        sampler = StopsAt(store, ids[:2], unlabeled, run.training, 0, method.targets, CPU)
        sampler.last = stop
        folder.mkdir(exist_ok=True)
        checkpoint = Checkpoint(folder, "check", CPU)
        fit(method, sampler, run.training, checkpoint, CPU, Observer(name))
        saved = torch.load(checkpoint.newest, weights_only=True)
        return {"last": method.state_dict()} | {key: saved[key] for key in ("method", "optimizers")}

    with tiny_run(name, iterations=9, checkpoint_every=4) as (run, results, store):
        straight = go(results / "straight", seed=0, stop=9)
        try:
            go(results / "resumed", seed=0, stop=5)
        except Stop:
            resumed = go(results / "resumed", seed=1, stop=9)
    for part, title in (("method", "weights"), ("optimizers", "optimisers"), ("last", "weights")):
        need(same(straight[part], resumed[part]), f"resumed, it ends with other {title}")


@check(every)
def is_documented(name: str) -> None:
    """A summary, the deviations, the meaning of each setting; in this package also its length."""
    kind = methods.method_class(name)
    module = inspect.getmodule(kind)
    document = (module and inspect.getdoc(module)) or ""
    summary = document.partition("\n")[0]
    need(summary.endswith("."), "the file's docstring must begin with one line that ends in '.'")
    need("Deviations" in document, "the file's docstring has no 'Deviations' from its source")
    for title, field in kind.Config.model_fields.items():
        need(bool(field.description), f"the setting '{title}' does not say what it is")
    if methods.modules()[name].startswith("ssl_methods."):
        lines = len(Path(inspect.getfile(kind)).read_text().splitlines())
        need(lines <= LONGEST_FILE, f"the file has {lines} lines; {LONGEST_FILE} are allowed")
