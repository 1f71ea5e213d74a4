"""Warm-up and learning-rate schedules against their formulas."""

import math

import pytest

from ssl_methods.config import TrainingConfig
from ssl_methods.schedules import gaussian_warmup, learning_rate, stepped_rate, stepwise_warmup


def test_gaussian_end_points():
    assert gaussian_warmup(0, 6000) == pytest.approx(math.exp(-5))
    assert gaussian_warmup(3000, 6000) == pytest.approx(math.exp(-1.25))
    assert gaussian_warmup(6000, 6000) == 1.0
    assert gaussian_warmup(9000, 6000) == 1.0


def test_gaussian_rises():
    values = [gaussian_warmup(t, 100) for t in range(101)]
    assert values == sorted(values)


def test_depends_on_the_fraction_alone():
    assert gaussian_warmup(30, 100) == pytest.approx(gaussian_warmup(1800, 6000))
    assert stepwise_warmup(30, 100) == pytest.approx(stepwise_warmup(1800, 6000))


def test_stepwise_is_the_released_formula():
    """1.0 * exp(-5 (1 - min(e, 40)/40)^2) with e = iteration // 150, at 6000 iterations."""
    for t in range(0, 7000, 7):
        released = math.exp(-5 * (1 - min(t // 150, 40) / 40) ** 2)
        assert stepwise_warmup(t, 6000) == pytest.approx(released, rel=1e-12)
    assert stepwise_warmup(5999, 6000) == pytest.approx(0.9969, abs=1e-4)


def test_learning_rate_falls_at_the_released_iterations():
    rate = [stepped_rate(t, 6000, (2500 / 6000, 5000 / 6000)) for t in range(6000)]
    assert rate[0] == rate[2499] == 1.0
    assert rate[2500] == rate[4999] == pytest.approx(0.1)
    assert rate[5000] == rate[5999] == pytest.approx(0.01)


def rates(t_max: int, **settings) -> list[float]:
    training = TrainingConfig(iterations=t_max, learning_rate=0.2, **settings)
    return [learning_rate(t, training) for t in range(t_max)]


def test_learning_rates_of_each_schedule():
    assert rates(300, learning_rate_schedule="constant") == [0.2] * 300
    poly = rates(30_000, learning_rate_schedule="poly")
    assert poly[::1000] == pytest.approx([0.2 * (1 - t / 30) ** 0.9 for t in range(30)])
    assert poly[-1] == pytest.approx(0.2 * (1 / 30_000) ** 0.9)
    assert rates(10, learning_rate_schedule="poly", learning_rate_power=2)[5] == pytest.approx(0.05)
    steps = rates(300, learning_rate_steps=(0.5,))
    assert steps == pytest.approx([0.2] * 150 + [0.02] * 150)
    assert rates(6000) == [0.2 * stepped_rate(t, 6000, (2500 / 6000, 5 / 6)) for t in range(6000)]


def test_a_ramp_of_other_steps():
    """SSL4MIS: 200 steps of 150 in 30000 iterations."""
    for t in range(0, 30_000, 37):
        released = math.exp(-5 * (1 - min(t // 150, 200) / 200) ** 2)
        assert stepwise_warmup(t, 30_000, 200) == pytest.approx(released, rel=1e-12)
