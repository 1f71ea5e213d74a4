"""Two parts that take turns for random times, which depend on the run's seed and the step alone.

So every part of a divided batch is in the same turn, and a resumed run goes on in it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch


def first_in_turn(t: int, t_max: int, longest: int) -> bool:
    """Whether it is the turn of the first at step t (from 0); each lasts 1 to ``longest`` steps.

    The first begins; all lengths are equally likely. The seed is that of torch's global generator,
    which a checkpoint keeps.
    """
    return in_turn(torch.initial_seed(), t_max, longest)[t]


@cache
def in_turn(seed: int, t_max: int, longest: int) -> list[bool]:
    """For each step from 0 to t_max, whether it is the first's."""
    lengths = np.random.default_rng(seed).integers(1, longest + 1, t_max + 1)
    first = np.arange(t_max + 1) % 2 == 0
    steps: list[bool] = np.repeat(first, lengths)[: t_max + 1].tolist()
    return steps
