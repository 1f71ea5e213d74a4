"""The curve through the trials: against the closed form, and on a function that is known."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_methods.tuning.surrogate import Surrogate


def test_it_is_the_posterior_in_closed_form():
    random = np.random.default_rng(0)
    points, values = random.random((12, 2)), random.random(12) * 3 + 50
    surrogate = Surrogate(points, values)
    at = random.random((5, 2))

    def kernel(first, second):
        steps = np.abs(first[:, None] - second[None]) / surrogate.lengths
        far = np.sqrt(5) * np.linalg.norm(steps, axis=2)
        return surrogate.signal * (1 + far + far**2 / 3) * np.exp(-far)

    inverse = np.linalg.inv(kernel(points, points) + surrogate.noise * np.eye(12))
    across = kernel(at, points)
    scaled = (values - values.mean()) / values.std()
    mean = values.mean() + values.std() * across @ inverse @ scaled
    variance = surrogate.signal - np.einsum("ij,jk,ik->i", across, inverse, across)
    found, spread = surrogate.predict(at)
    np.testing.assert_allclose(found, mean, rtol=1e-6)
    np.testing.assert_allclose(spread, values.std() * np.sqrt(variance), rtol=1e-4)


def test_a_known_function_lies_in_its_band():
    random = np.random.default_rng(1)
    points = random.random((40, 2))

    def truth(at):
        return 60 - 20 * (at[:, 0] - 0.4) ** 2 - 5 * (at[:, 1] - 0.7) ** 2

    surrogate = Surrogate(points, truth(points) + random.normal(0, 0.3, 40))
    at = random.random((200, 2))
    mean, spread = surrogate.predict(at)
    assert np.mean(np.abs(mean - truth(at)) <= 1.96 * spread) > 0.8
    best = at[mean.argmax()]
    assert best == pytest.approx([0.4, 0.7], abs=0.2)


def test_noise_alone_gives_a_flat_curve():
    random = np.random.default_rng(2)
    values = random.normal(50, 1, 40)
    mean, _ = Surrogate(random.random((40, 1)), values).predict(np.linspace(0, 1, 50)[:, None])
    assert np.ptp(mean) < values.std()
