"""Properties of learning and predicting, seen in a few steps on one batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ssl_methods import methods
from ssl_methods.batch import Batch, Progress
from ssl_methods.checks.check import (
    Remark,
    Skipped,
    check,
    every,
    need,
    ramped,
    semi_supervised,
    trained,
)
from ssl_methods.checks.materials import (
    SIZE,
    amplified,
    check_terms,
    given,
    gradients,
    levels,
    make,
    make_batch,
    recipes,
    recorded,
    run,
    same,
    without_batch_statistics,
)
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Method
from ssl_methods.methods.parts.teacher import Teacher
from ssl_methods.training.loop import step, weighted_sum


@check(trained)
def learns_one_batch(name: str) -> None:
    """Seen again and again, the labels of one batch are predicted better and better."""
    shapes = [("unified", 1, 3, ""), ("unified", 3, 3, ""), ("unified", 2, 2, "exclusive ")]
    shapes += [(recipe, 2, 2, "") for recipe in recipes(name)[1:]]
    for recipe, classes, dimensions, kind in shapes:
        shape: dict[str, Any] = {"classes": classes, "dimensions": dimensions}
        shape["exclusive"] = bool(kind)
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
            f" ({recipe}, {classes} {kind}classes, {dimensions}D)",
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
        terms = method.loss(given(method, images), Progress(99, 100))
        for title, term in terms.items():
            need(term.value.requires_grad, f"term '{title}' has no gradient")
        weighted_sum(terms).backward()
        seen.append(gradients(method))
    need(all(bool(gradient.isfinite().all()) for gradient in seen), "a gradient is not finite")
    need(
        float((seen[0] - seen[1]).norm()) > 1e-6 * float(seen[0].norm()),
        "the gradient of its networks is the same, whatever the unlabeled images",
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
    """The least that `training.precision` allows; `auto` may give a method more."""
    run(make(name, classes=2), make_batch(classes=2), precision=torch.bfloat16)


@check(every)
def trains_every_parameter(name: str) -> None:
    """Each that requires a gradient has an optimiser and is given one; a control has none."""
    method = make(name)
    optimizers = method.optimizers(TrainingConfig())
    need(
        bool(optimizers) == (type(method).role != "control"), "a control alone has nothing to train"
    )
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
        raise Skipped("it has no Teacher (methods.parts.teacher)")
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


@check(trained)
def moves_no_weight_twice(name: str) -> None:
    """What ``after_step`` moves, as a teacher of one's own, no optimiser has moved before."""
    method, batch = make(name), make_batch()
    optimizers = method.optimizers(TrainingConfig(learning_rate=0.1))
    method.train()
    for t in range(4):
        start = {title: p.detach().clone() for title, p in method.named_parameters()}
        step(optimizers, given(method, batch), Progress(t, 4))
        between = {title: p.detach().clone() for title, p in method.named_parameters()}
        method.after_step(Progress(t, 4))
        for title, now in method.named_parameters():
            twice = not same(between[title], start[title]) and not same(now.data, between[title])
            need(
                not twice,
                f"'{title}' is trained by an optimiser and moved again by after_step: of a "
                "teacher, call requires_grad_(False) and compute its guess under torch.no_grad()",
            )


@check(trained)
def is_finite_where_the_network_is_sure(name: str) -> None:
    """Terms and gradients where every probability is 0 or 1, so that a bare logarithm shows."""
    method = run(make(name), make_batch(), iterations=2)
    with amplified(method, 1e4):
        method.zero_grad()
        terms = method.loss(given(method, make_batch()), Progress(99, 100))
        check_terms(terms, " where probabilities are 0 and 1: clamp what a logarithm is taken of")
        weighted_sum(terms).backward()
    for title, parameter in method.named_parameters():
        fine = parameter.grad is None or bool(parameter.grad.isfinite().all())
        need(fine, f"the gradient of '{title}' is not finite where probabilities are 0 and 1")


@check(semi_supervised)
def teaches_with_detached_targets(name: str) -> None:
    """No term has gradients through two passes of one network; some methods mean to have them."""
    method, batch = run(make(name), make_batch(), iterations=4), make_batch()
    with recorded(method) as passes:
        terms = method.loss(given(method, batch), Progress(99, 100))
    for title, term in terms.items():
        if not term.value.requires_grad:
            continue
        for outputs in passes.values():
            reached = [
                any(g is not None and bool(g.any()) for g in gradients_of(term.value, output))
                for output in outputs
            ]
            if sum(reached) > 1:
                raise Remark(
                    f"term '{title}' has gradients through {sum(reached)} passes of one network; "
                    "if one of them makes the target, detach it"
                )


def gradients_of(value: Tensor, outputs: list[Tensor]) -> tuple[Tensor | None, ...]:
    known = [output for output in outputs if output.requires_grad]
    if not known:
        return ()
    return torch.autograd.grad(value, known, retain_graph=True, allow_unused=True)


@check(every)
def is_restored_from_its_state_dict(name: str) -> None:
    """A fresh method that is given it predicts the same bits."""
    method, image = make(name), make_batch().labeled_images
    if type(method).role != "control":
        run(method, make_batch())
    torch.manual_seed(1)
    network = NetworkConfig(width=2, levels=levels(name))
    other = methods.create(name, network=network)
    other.load_state_dict(method.state_dict())
    with torch.no_grad():
        found, expected = other.eval().predict(image), method.eval().predict(image)
    need(same(found, expected), "it predicts otherwise: something is not in the state dict")
