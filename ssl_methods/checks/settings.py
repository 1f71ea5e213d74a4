"""Properties of a method's settings: its schedule and its recipe are those that they name."""

from __future__ import annotations

import math

from ssl_methods import methods
from ssl_methods.batch import Progress
from ssl_methods.checks.check import Remark, check, every, has_ramp, need, ramped
from ssl_methods.checks.materials import given, make, make_batch, recipes
from ssl_methods.config import RELEASED_LOOP, RampedConfig, TrainingConfig


@check(ramped)
def warms_up_as_the_settings_say(name: str) -> None:
    """The weight rises from exp(-5) of it to all of it, or is all of it from the start."""
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


@check(has_ramp)
def uses_the_unlabeled_images_that_it_weighs(name: str) -> None:
    """A weight that rises is that of an unlabeled term, whose images have to be asked for."""
    if methods.method_class(name).uses_unlabeled:
        return
    method = make(name)
    batch = given(method, make_batch())
    start, end = (
        {title: term.weight for title, term in method.loss(batch, Progress(t, 6000)).items()}
        for t in (0, 5999)
    )
    rising = [title for title in end if start.get(title, 0.0) < end[title]]
    need(
        bool(rising),
        "its settings have a weight that rises, no term has it, and no unlabeled image is given to "
        "the method: set uses_unlabeled = True",
    )
    raise Remark(
        f"no unlabeled image is given to it, and the weight of '{rising[0]}' rises: if that term "
        "is of unlabeled images, set uses_unlabeled = True"
    )


@check(every)
def settles_the_released_loop(name: str) -> None:
    """``released_training`` is idempotent, valid, and keeps what all released loops share."""
    config, training = methods.method_class(name).Config, TrainingConfig()
    released = config.released_training(training)
    need(config.released_training(released) == released, "released_training is not idempotent")
    TrainingConfig.model_validate(released.model_dump())
    left_out = [key for key, value in RELEASED_LOOP.items() if getattr(released, key) != value]
    need(not left_out, f"released_training does not begin with super()'s: {', '.join(left_out)}")
