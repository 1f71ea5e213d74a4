"""Properties of a method's settings: its schedule and its recipe are those that they name."""

from __future__ import annotations

import math

from ssl_methods import methods
from ssl_methods.checks.check import check, every, need, ramped
from ssl_methods.checks.materials import make, make_batch, recipes
from ssl_methods.config import RampedConfig, TrainingConfig
from ssl_methods.methods.base import Progress


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
