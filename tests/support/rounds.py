"""How many rounds of chance each means of disturbance is given, and what is recorded of one.

ROUNDS (50) and SEED (0) are read from the environment. ROUNDS is of all means together: half are
signals, to a job, to Snakemake or to both in turn; a quarter are system calls that fail; a quarter
lose the power.
"""

from __future__ import annotations

import os

ROUNDS = int(os.environ.get("ROUNDS", "50"))
SEED = int(os.environ.get("SEED", "0"))

POWER_LOST = ROUNDS // 4
CALLS_REFUSED = ROUNDS // 4
SIGNALS_SENT = ROUNDS - POWER_LOST - CALLS_REFUSED

HIT = "hit"
"""A test's property: its means, and whether the blow fell while there was work."""


def blow(means: str, hit: bool) -> tuple[str, tuple[str, bool]]:
    """For ``record_property(*blow(...))``."""
    return HIT, (means, hit)
