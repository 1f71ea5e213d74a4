"""UA-MT against its formulas in NumPy."""

import math

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress


def make(classes=1, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2)
    return methods.create("ua_mt", network=network, classes=classes, dimensions=2, **settings)


def make_batch(classes=1, unlabeled=2):
    torch.manual_seed(1)
    labels = (torch.rand(2, classes, 32, 32) > 0.7).float()
    return Batch(torch.randn(2, 1, 32, 32), labels, torch.randn(unlabeled, 1, 32, 32))


def entropy(p):
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


@pytest.mark.parametrize("classes", [1, 3])
def test_loss_is_the_squared_difference_over_certain_voxels(classes):
    """Without noise and dropout every pass is the teacher's one answer."""
    method, batch = make(classes, noise=0.0).eval(), make_batch(classes)
    for parameter in method.teacher.module.decoders[0].heads.parameters():
        parameter.mul_(8)  # away from the student, and sure here and there
    progress = Progress(30, 100)
    with torch.no_grad():
        value = method.loss(batch, progress)["consistency"].value
        p = method.predict(batch.unlabeled_images).double().numpy()
        teacher = method.teacher(batch.unlabeled_images)[0].sigmoid().double().numpy()
    certain = entropy(teacher) < (0.75 + 0.25 * math.exp(-5 * 0.7**2)) * math.log(2)
    assert 0.05 < certain.mean() < 0.95
    # the released form: two softmax channels, their squares summed, over twice the voxels
    both = np.stack([p - teacher, (1 - p) - (1 - teacher)])
    assert value.item() == pytest.approx((certain * both**2).sum() / (2 * certain.sum()), rel=1e-4)


def test_uncertainty_is_the_entropy_of_the_mean_over_single_passes(monkeypatch):
    """Four passes of the doubled batch are eight samples of each image, in its own place."""
    method, batch = make(), make_batch(unlabeled=3)
    answers = torch.rand(4, 6, 1, 8, 8)
    passes = iter(answers)
    monkeypatch.setattr(method, "guess", lambda twice: next(passes))
    found = method.uncertainty(batch).numpy()
    samples = [answers[i, half * 3 : half * 3 + 3].numpy() for i in range(4) for half in range(2)]
    np.testing.assert_allclose(found, entropy(np.mean(samples, axis=0)), rtol=1e-5)
    assert next(passes, None) is None


def test_nothing_certain_gives_zero_and_no_gradient_that_is_not_finite():
    method, batch = make(), make_batch()
    for parameter in method.teacher.parameters():
        parameter.zero_()  # 1/2 everywhere
    value = method.loss(batch, Progress(0, 100))["consistency"].value
    value.backward()
    assert value.item() == 0
    assert all((p.grad == 0).all() for p in method.network.parameters() if p.grad is not None)


def test_saturated_teacher_is_certain():
    method, batch = make(), make_batch()
    method.teacher.module.decoders[0].heads[0].bias.fill_(200.0)
    assert (method.uncertainty(batch) == 0).all()


def test_samples_come_in_pairs():
    with pytest.raises(UserError, match="samples"):
        make(samples=3)
