"""Weights and learning rates as functions of the progress t / t_max: any number of iterations is
right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssl_methods.config import TrainingConfig


def gaussian_warmup(t: float, t_max: float) -> float:
    """exp(-5 (1 - t/t_max)^2): from 0.0067 at t = 0 to 1 at t_max and after (DTC paper, section 3).

    Laine & Aila (ICLR 2017) introduced the form.
    """
    if t_max <= 0:
        return 1.0
    fraction = min(max(t / t_max, 0.0), 1.0)
    return math.exp(-5.0 * (1.0 - fraction) ** 2)


def entropy_threshold(lowest: float, t: float, t_max: float) -> float:
    """The largest entropy of two classes, ln 2, times what rises from ``lowest`` to 1 as above.

    Yu et al. (UA-MT, MICCAI 2019), whose code begins at 0.75.
    """
    return (lowest + (1 - lowest) * gaussian_warmup(t, t_max)) * math.log(2)


def stepwise_warmup(t: float, t_max: float, steps: int = 40) -> float:
    """The same curve held constant over each of ``steps`` equal parts of the ramp.

    The released code updates the weight every 150 of 6000 iterations: 40 steps, ending at 0.997.
    """
    if t_max <= 0:
        return 1.0
    return gaussian_warmup(math.floor(t * steps / t_max), steps)


def stepped_rate(t: float, t_max: float, steps: Sequence[float], factor: float = 0.1) -> float:
    """Learning-rate multiplier: ``factor`` once for each fraction of the run already passed."""
    return float(factor ** sum(t >= round(step * t_max) for step in steps))


def learning_rate(t: float, training: TrainingConfig) -> float:
    """The learning rate of iteration t (from 0), by the schedule of the settings."""
    t_max = training.iterations
    multipliers = {
        "steps": lambda: stepped_rate(t, t_max, training.learning_rate_steps),
        "poly": lambda: max(1 - t / t_max, 0.0) ** training.learning_rate_power,
        "constant": lambda: 1.0,
    }
    return training.learning_rate * multipliers[training.learning_rate_schedule]()
