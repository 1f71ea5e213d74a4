"""AD-MT: what the teachers say together, whose turn it is, and how they are averaged."""

import math

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods import ad_mt
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.turns import first_in_turn, in_turn


def make(seed=0, **settings):
    torch.manual_seed(seed)
    network = NetworkConfig(width=2, levels=2, dropout=0.0)
    method = methods.create("ad_mt", network=network, classes=2, dimensions=2, **settings).train()
    with torch.no_grad():
        for parameter in [*method.first.parameters(), *method.second.parameters()]:
            parameter += 0.3 * torch.randn_like(parameter)
    return method


def make_batch(labeled=2, unlabeled=3):
    torch.manual_seed(1)
    images = torch.randn(labeled + unlabeled, 1, 16, 12)
    labels = (torch.rand(labeled, 2, 16, 12) > 0.7).float()
    return Batch(images[:labeled], labels, images[labeled:])


# ---- turns ---------------------------------------------------------------------------------------


def test_turns_last_every_length_up_to_the_longest_and_the_first_begins():
    steps = np.array(in_turn(7, 20_000, 5))
    assert steps[0] and len(steps) == 20_001
    ends = np.flatnonzero(np.diff(steps.astype(int))) + 1
    lengths = np.diff(np.r_[0, ends])
    assert set(lengths) == {1, 2, 3, 4, 5}
    counts = np.bincount(lengths)[1:] / len(lengths)
    np.testing.assert_allclose(counts, 0.2, atol=0.02)
    assert steps.mean() == pytest.approx(0.5, abs=0.02)


def test_a_turn_depends_on_the_seed_and_the_step_alone():
    torch.manual_seed(11)
    expected = [first_in_turn(t, 300, 19) for t in range(300)]
    state = torch.get_rng_state()
    torch.rand(1000)
    assert [first_in_turn(t, 300, 19) for t in reversed(range(300))] == expected[::-1]
    torch.manual_seed(12)
    assert [first_in_turn(t, 300, 19) for t in range(300)] != expected
    torch.set_rng_state(state)  # as a checkpoint does
    assert [first_in_turn(t, 300, 19) for t in range(300)] == expected


def test_in_a_short_run_both_have_turns():
    torch.manual_seed(0)
    for t_max in (2, 4, 9, 40):
        turns = {make().turn_of_first(Progress(t, t_max)) for t in range(t_max)}
        assert turns == {True, False}


# ---- the loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("alike", [True, False])
def test_loss_voxel_by_voxel(monkeypatch, first, alike):
    method, batch = make(confidence=0.6, strength=0.0, alike=alike), make_batch()
    monkeypatch.setattr(ad_mt, "first_in_turn", lambda *_: first)
    box, order = torch.rand(3, 1, 16, 12) > 0.5, [1, 2, 0]
    monkeypatch.setattr(ad_mt, "beta_boxes", lambda images: box)
    monkeypatch.setattr(torch, "randperm", lambda n, device=None: torch.tensor(order))
    found = method.loss(batch, Progress(10, 10))["pseudo_label"]
    assert found.weight == 2

    method, u = make(), batch.unlabeled_images
    (method.second if first else method.first).eval()
    p, q = (teacher(u)[0].sigmoid().double() for teacher in (method.first, method.second))

    def in_the_box(values):
        return values if first else torch.where(box, values[order], values)

    with torch.no_grad():
        seen = torch.cat([batch.labeled_images, u, in_the_box(u)])
        z = method.network(seen)[0].double()
    own, learns = z[2:5].sigmoid(), z[5:]
    p, q, own = in_the_box(p), in_the_box(q), in_the_box(own) if alike else own
    total, kept, replaced = 0.0, 0, 0
    for a, b, s, logit in zip(*(x.flatten().tolist() for x in (p, q, own, learns)), strict=True):
        ha, hb = (-sum(x * math.log2(x) for x in (y, 1 - y)) for y in (a, b))
        g = (math.exp(-ha) * a + math.exp(-hb) * b) / (math.exp(-ha) + math.exp(-hb))
        surer = max(s, 1 - s) > max(g, 1 - g)
        if (a > 0.5) != (b > 0.5) and (s > 0.5) != (g > 0.5) and surer:
            g, replaced = s, replaced + 1
        if max(g, 1 - g) >= 0.6:
            sign = 1 if g > 0.5 else -1
            total, kept = total + math.log1p(math.exp(-sign * logit)), kept + 1
    assert 0 < replaced < kept < learns.numel()
    assert found.value.item() == pytest.approx(total / kept, rel=1e-4)


def test_nothing_sure_is_no_loss_and_no_number_is_missing():
    term = make(confidence=0.9999).loss(make_batch(), Progress(10, 10))["pseudo_label"]
    assert term.value.item() == 0
    term.value.backward()


def test_the_student_learns_from_the_last_view_alone(monkeypatch):
    """Its own prediction for the plain image teaches without gradient."""
    method, batch, seen = make(confidence=0.5), make_batch(), []
    monkeypatch.setattr(method.network, "forward", keeping(method.network.forward, seen))
    method.loss(batch, Progress(9, 10))["pseudo_label"].value.backward()
    (logits,) = seen
    assert not logits.grad[:5].any() and logits.grad[5:].any()


def keeping(forward, seen):
    def kept(images):
        outputs = forward(images)
        outputs[0].retain_grad()
        seen.append(outputs[0])
        return outputs

    return kept


@pytest.mark.parametrize("unlabeled", [0, 1, 3])
def test_any_number_of_unlabeled_images(unlabeled):
    terms = make().loss(make_batch(1, unlabeled), Progress(9, 10))
    assert all(term.value.isfinite() for term in terms.values())
    assert ("pseudo_label" in terms) == (unlabeled > 0)


# ---- the teachers --------------------------------------------------------------------------------


def test_one_teacher_is_in_training_mode_and_all_are_after():
    method, seen = make(), []
    for teacher in (method.first, method.second):
        norm = next(m for m in teacher.modules() if isinstance(m, torch.nn.BatchNorm2d))
        norm.register_forward_hook(lambda module, *_: seen.append(module.training))
    for t in range(40):
        seen.clear()
        method.loss(make_batch(), Progress(t, 40))
        first = method.turn_of_first(Progress(t, 40))
        assert seen == [first, not first] and all(m.training for m in method.modules())


def test_a_teacher_is_averaged_in_its_turns_with_its_statistics():
    """a = min(1 - 1/(n + 1), decay), n the steps since the first 80 of 15000, halved."""
    method, t_max = make(decay=0.9), 15_000
    student = dict([*method.network.named_parameters(), *method.network.named_buffers()])
    teachers = {True: method.first.module, False: method.second.module}
    for t in (0, 79, 80, 81, 82, 83, 90, 99, 150, 9_000):
        with torch.no_grad():
            for value in student.values():
                value += torch.rand_like(value) if value.is_floating_point() else 1
        before = {k: {n: v.clone() for n, v in m.state_dict().items()} for k, m in teachers.items()}
        first = method.turn_of_first(Progress(t, t_max))
        method.after_step(Progress(t, t_max))
        a = min(1 - 1 / (max(t // 2 - 40, 0) + 1), 0.9)
        for name, value in teachers[first].state_dict().items():
            expected = a * before[first][name] + (1 - a) * student[name].detach()
            exact = value.is_floating_point()
            torch.testing.assert_close(value, expected if exact else student[name])
        for name, value in teachers[not first].state_dict().items():
            assert torch.equal(value, before[not first][name])


def test_weight_zero_leaves_the_teachers_alone():
    method = make(weight=0.0)
    before = [p.clone() for p in method.first.parameters()]
    method.after_step(Progress(0, 10))
    assert all(torch.equal(p, q) for p, q in zip(method.first.parameters(), before, strict=True))
