"""CrossMatch: its terms for several classes, its threshold, and which dropout is on."""

import math

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts import boxed_views


def make(dropout=0.0, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=dropout)
    return methods.create("cross_match", network=network, classes=3, dimensions=2, **settings)


def make_batch(labeled=2, unlabeled=3):
    torch.manual_seed(1)
    images = torch.randn(labeled + unlabeled, 1, 16, 12)
    labels = (torch.rand(labeled, 3, 16, 12) > 0.7).float()
    return Batch(images[:labeled], labels, images[labeled:])


@pytest.mark.parametrize("over", ["foreground", "both"])
def test_terms_of_three_classes_without_batch_statistics(monkeypatch, over):
    """In evaluation mode, of views that differ by their boxes; other channels are dropped."""
    settings = {"confidence": 0.6, "strength": 0.0, "gap": 0.4, "share": 0.2, "dice_over": over}
    method, batch = make(**settings).eval(), make_batch()
    boxes = [torch.rand(3, 1, 16, 12) > 0.6, torch.rand(3, 1, 16, 12) > 0.8]
    left, fractions = iter(boxes), []

    def keep(features, fraction):
        """Drops nothing of few, and all of the finest level of most."""
        fractions.append(fraction)
        return features * (fraction < 0.5 or features.shape[-1] < 12)

    monkeypatch.setattr(boxed_views, "area_boxes", lambda images: next(left))
    monkeypatch.setattr("ssl_methods.methods.parts.feature_noise.channel_dropout", keep)
    with torch.no_grad():
        terms = method.loss(batch, Progress(10, 10))
    assert set(fractions) == {0.3, 0.7}

    def guess(images, coarse=False):
        fine, deep = method.network.encoder(images)
        return method.network.decoders[0]([0 * fine if coarse else fine, deep])[0].sigmoid()

    def dice(p, q):
        values, sure = [], torch.maximum(q, 1 - q) >= 0.6
        for k in range(3):
            kept = sure[:, k]
            a, b = p[:, k][kept], (q[:, k][kept] > 0.5).float()
            for x, y in [(a, b), (1 - a, 1 - b)][: 1 + (over == "both")]:
                values.append(1 - (2 * (x * y).sum() + 1e-5) / ((x**2 + y**2).sum() + 1e-5))
        return sum(values) / len(values)

    with torch.no_grad():
        u, o = batch.unlabeled_images, batch.unlabeled_images[[2, 0, 1]]
        first, second = (torch.where(box, o, u) for box in boxes)
        p, m = guess(u), guess(u, True)
        p1, p2 = (torch.where(box, guess(o), p) for box in boxes)
        m2 = torch.where(boxes[1], guess(o, True), m)
        s1, s2, t2 = guess(first), guess(second), guess(second, True)
        plain = (dice(p, p) + dice(m, p) + dice(s2, p2) + dice(t2, p2)) / 4
        own = (dice(s2, p2) + dice(t2, m2)) / 2
    expected = {"strong_views": (dice(s1, p1) + dice(s2, p2)) / 2}
    expected["distillation"] = 0.8 * plain + 0.2 * own
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].value, value, rtol=1e-4, atol=1e-5)
    assert (terms["strong_views"].weight, terms["distillation"].weight) == (0.5, 1.0)


def test_what_teaches_has_no_gradient_from_what_it_teaches():
    """Not even where features are dropped that others are taught by."""
    method, batch = make(share=1.0, confidence=0.5).train(), make_batch()
    seen = []
    original = type(method).three_ways

    def spy(self, images, first):
        outputs = original(self, images, first)
        for z in outputs:
            if z.requires_grad:
                z.retain_grad()
        seen.append(outputs)
        return outputs

    type(method).three_ways = spy
    try:
        method.loss(batch, Progress(10, 10))["distillation"].value.backward()
    finally:
        type(method).three_ways = original
    _, (plain, few, most), (_, few_of_view, most_of_view) = seen
    assert all(z.grad is None or not z.grad.any() for z in (plain, few, most))
    assert few_of_view.grad.any() and most_of_view.grad.any()


def test_the_released_threshold_is_that_of_an_entropy(monkeypatch):
    seen = []
    module = "ssl_methods.methods.cross_match.confident_dice"
    monkeypatch.setattr(module, lambda config, z, q, least, *_: seen.append(least) or z.sum())
    method, batch = make(recipe="as_released"), make_batch()
    for t in (0, 1, 8_000, 13_999):
        seen.clear()
        method.loss(batch, Progress(t, 14_000))
        rise = math.exp(-5 * (1 - max(t - 1, 0) / 17_000) ** 2)
        assert seen == [pytest.approx((0.75 + 0.25 * rise) * math.log(2))] * 8
    assert 0.66 < seen[0] < 0.68
    seen.clear()
    make().loss(batch, Progress(0, 14_000))
    assert seen == [0.75] * 8


def test_dropout_of_the_decoder_is_off_but_for_the_other_images_alone():
    method, seen = make(dropout=0.5).train(), []
    decoder = method.network.decoders[0].dropout
    decoder.register_forward_hook(lambda module, *_: seen.append(module.training))
    method.loss(make_batch(), Progress(9, 10))
    assert seen == [True, False, False, False] and all(m.training for m in method.modules())


@pytest.mark.parametrize("unlabeled", [0, 1, 3])
def test_any_number_of_unlabeled_images(unlabeled):
    terms = make().train().loss(make_batch(1, unlabeled), Progress(9, 10))
    assert all(term.value.isfinite() for term in terms.values())
    assert len(terms) == (4 if unlabeled else 2)


def test_released_loop():
    loop = methods.method_class("cross_match").Config.released_training(TrainingConfig())
    found = (loop.optimizer, loop.learning_rate, loop.weight_decay, loop.learning_rate_power)
    assert found == ("adamw", 0.001, 1e-4, 0.9)
