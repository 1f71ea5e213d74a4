"""Designs of an experiment: when it is looked at, and what it can detect.

Looks are declared before the experiment runs. The error that may be made in all is spent over them
by O'Brien and Fleming's function (Lan and DeMets, Biometrika 1983): little at the first, nearly all
of it at the last.

Detectable differences: the difference that a two-sided test at 5 % finds in four of five
experiments, with the noncentral t distribution.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ssl_methods.analysis.components import LEVEL

POWER = 0.8
SAFE = 0.8  # plans use the upper limit of an SD at this confidence


@cache
def nominal_levels(looks: tuple[int, ...], level: float = LEVEL) -> tuple[float, ...]:
    """The two-sided p below which each look may decide, so that all together keep ``level``.

    Recursion over the distribution of the score at each look, given that none before decided
    (Armitage, McPherson and Rowe, J. R. Stat. Soc. A 1969), with information in proportion to the
    number of subsets.
    """
    from scipy import optimize, stats

    shares = np.array(looks) / looks[-1]
    spent = 2 * stats.norm.sf(stats.norm.ppf(1 - level / 2) / np.sqrt(shares))
    grid = np.linspace(-8, 8, 1601)
    width = grid[1] - grid[0]
    density: NDArray[np.float64] | None = None  # of the score, where no look has decided yet
    levels, before = [], 0.0
    for look, (share, until) in enumerate(zip(shares, spent, strict=True)):
        step = share - (shares[look - 1] if look else 0.0)
        scale = np.sqrt(step)
        if density is None:
            coming = stats.norm.pdf(grid, scale=scale)
        else:
            coming = stats.norm.pdf(grid[:, None] - grid, scale=scale) @ density * width

        def excess(
            bound: float,
            coming: NDArray[np.float64] = coming,
            share: float = float(share),
            wanted: float = until - before,
        ) -> float:
            edge = bound * np.sqrt(share)
            upper = np.interp([-edge, edge], grid, np.cumsum(coming) * width)
            return float(coming.sum() * width - (upper[1] - upper[0])) - wanted

        bound = optimize.brentq(excess, 0.1, 7.9)
        levels.append(float(2 * stats.norm.sf(bound)))
        density = np.where(np.abs(grid) < bound * np.sqrt(share), coming, 0.0)
        before = until
    return tuple(levels)


def upper_sd(sd: float, freedom: float) -> float:
    """The SD's upper limit at 80 % confidence; a pilot's own SD is too small half of the time."""
    from scipy import stats

    return sd * float(np.sqrt(freedom / stats.chi2.ppf(1 - SAFE, freedom)))


def detectable(sd_subset: float, subsets: int, error_case: float = 0.0) -> float:
    """The smallest difference found with 80 % power on so many subsets, in the unit of the SDs.

    Args:
        sd_subset: of the paired difference over subsets.
        error_case: standard error that the test cases add, which more subsets do not lower.
    """
    from scipy import optimize, stats

    freedom = subsets - 1
    if freedom < 1:
        return np.inf
    error = np.hypot(sd_subset / np.sqrt(subsets), error_case)
    critical = stats.t.ppf(1 - LEVEL / 2, freedom)

    def lacking(effect: float) -> float:  # the other tail has a share below 1e-6
        return float(stats.nct.sf(critical, freedom, effect)) - POWER

    return float(error * optimize.brentq(lacking, 0.5, 4 * critical))


def subsets_needed(
    difference: float, sd_subset: float, error_case: float = 0.0, most: int = 400
) -> int | None:
    """The fewest subsets on which ``difference`` is detectable; None if ``most`` are too few."""
    if detectable(sd_subset, most, error_case) > difference:
        return None
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        if detectable(sd_subset, middle, error_case) <= difference:
            high = middle
        else:
            low = middle + 1
    return low
