"""Verdicts in five words, each from one interval, one adjusted p and one declared margin.

``equivalent``: the whole interval is within the margin on both sides; a difference that is there is
one that does not matter. ``better``, ``worse``: the difference is not 0, by the p that is adjusted
over the methods of the family. ``not_worse``: the whole interval is above minus the margin.
``undecided``: none of these, and ``remedy`` says what would decide it.
"""

from __future__ import annotations

import math
from typing import Literal

from ssl_methods.analysis.components import LEVEL, Interval
from ssl_methods.analysis.designs import subsets_needed, upper_sd
from ssl_methods.measures import of

Verdict = Literal["better", "worse", "equivalent", "not_worse", "undecided"]


def verdict(gain: Interval, p: float, margin: float, level: float = LEVEL) -> Verdict:
    """The word for a paired difference.

    Args:
        gain: the difference with its interval, positive where the method is better.
        p: two-sided, adjusted over the family.
        margin: the largest difference that does not matter, in the unit of ``gain``.
        level: below which p decides; at an early look less than 5 %.
    """
    if math.isnan(gain.low) or math.isnan(p):
        return "undecided"
    if -margin < gain.low and gain.high < margin:
        return "equivalent"
    if p < level and gain.mean != 0:
        return "better" if gain.mean > 0 else "worse"
    return "not_worse" if gain.low > -margin else "undecided"


def of_interval(found: Interval, metric: str, margin: float, p: float | None = None) -> Verdict:
    """The word for a difference of one metric, better being what the metric calls better.

    Args:
        found: the difference with its 95 % interval, in the metric's stored unit.
        metric: of the difference.
        margin: of shares, in percentage points; other metrics have none.
        p: two-sided and adjusted, where the interval alone does not decide.
    """
    row = of(metric)
    ends = [row.scale * (it if row.higher_is_better else -it) for it in found]
    gain = Interval(ends[0], min(ends[1:]), max(ends[1:]))
    not_zero = gain.low > 0 or gain.high < 0
    decides = (LEVEL / 2 if p is None else p) if not_zero else 1.0
    return verdict(gain, decides, margin if row.scale == 100 else 0.0)


def remedy(sd_subset: float, freedom: float, error_case: float, subsets: int, margin: float) -> str:
    """What would decide an undecided comparison, in words.

    ``sd_subset`` of the difference over subsets, with its degrees of freedom; ``error_case`` is the
    standard error that the test cases add. A difference of the margin is to be found with 80 %
    power, with the SD at its upper 80 % limit.
    """
    if subsets < 2:
        return "a second labeled subset"
    needed = subsets_needed(margin, upper_sd(sd_subset, freedom), error_case)
    if needed is None:
        return f"more test cases: with these, a difference of {margin:g} cannot be told"
    more = max(needed - subsets, 1)
    return f"about {more} more subset{'s' * (more != 1)} for a difference of {margin:g}"
