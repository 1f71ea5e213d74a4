"""The mean of a table of labeled subsets x test cases, its error and its interval.

Model: value = mean + subset + case + rest. Subsets (that might have been drawn) and cases (patients
that might have come) are both samples, and crossed. The mean squares of the table are
``subset: rest + C var_subset``, ``case: rest + S var_case`` and ``rest``, so that the variance of
the mean is (MS_subset + MS_case - MS_rest) / (S C): the rest is in both and counts once. What comes
out negative is taken as 0 and its mean square pooled with the rest, which in a balanced table is
what restricted maximum likelihood does. Degrees of freedom: Satterthwaite (Biometrics 1946).

With fewer than five subsets two or three numbers say too little of how subsets vary. There the
subset SD has a half-t prior with three degrees of freedom, and the interval is of the posterior of
the mean; where it is shown, that is said.

With two phases the baseline has a level on many subsets and the methods are compared on some of
them. The difference is regressed on the level: what the level explains is known on all of them, so
that its part of the error is theirs, slope^2 var(level) / M, and only the residual's is that of the
compared ones (double sampling: Cochran, Sampling Techniques, 1977, chapter 12). The variance of the
level is taken at its upper 95 % limit: where few subsets are bad, a draw with too few of them has
too small a variance together with too high a mean, and all methods share that draw.

Where the test fold moves on with the subset, subsets and cases are crossed within each fold. The
mean squares of cases and of the rest are those within folds; what cases add to the spread of the
subsets' means, because folds differ, is taken out of that of subsets, and the formula above is the
same with S / F runs of each case.

Means of what lies between two ends, as Dice and its differences do, have their interval on the
logit scale, distances on the log scale, so that no end is impossible and none is clipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
FEW_SUBSETS = 5  # from so many on the interval needs no prior


class Interval(NamedTuple):
    """A mean and its 95 % interval; NaN where one unit alone leaves nothing to say."""

    mean: float
    low: float
    high: float


class Error(NamedTuple):
    """The standard error of a mean, and its degrees of freedom."""

    se: float
    freedom: float


@dataclass(frozen=True)
class Table:
    """The mean squares of a balanced table.

    ``cases``: of all ``folds``, each of which is of so many subsets as the others.
    ``first_phase``: the variance of the mean that comes from the first phase, and its degrees of
    freedom.
    """

    mean: float
    subsets: int
    cases: int
    ms_subset: float
    ms_case: float
    ms_rest: float
    subset_freedom: float
    folds: int = 1
    first_phase: tuple[float, float] = (0.0, np.inf)

    @property
    def per_subset(self) -> float:
        """Cases on which a subset is measured."""
        return self.cases / self.folds

    @property
    def per_case(self) -> float:
        """Subsets that are measured on a case."""
        return self.subsets / self.folds

    @property
    def case_freedom(self) -> float:
        """Degrees of freedom of the cases' mean square."""
        return float(self.cases - self.folds)

    @property
    def rest_freedom(self) -> float:
        """Degrees of freedom of the rest's mean square."""
        return (self.subsets - self.folds) * (self.per_subset - 1)

    @property
    def sd_subset(self) -> float:
        """SD of subsets beyond what cases and the rest explain, in the unit of the values."""
        return float(np.sqrt(max(self.ms_subset - self.ms_rest, 0) / self.per_subset))

    @property
    def sd_case(self) -> float:
        """SD of cases beyond what subsets and the rest explain."""
        return float(np.sqrt(max(self.ms_case - self.ms_rest, 0) / self.per_case))

    def of_subsets(self, variance: float) -> float:
        """The mean square of subsets, of the variance of their means.

        With folds it holds what cases add to that too, as the folds' means differ, which is taken
        away.
        """
        found = self.per_subset * variance
        if self.folds == 1:
            return found
        spread = self.subsets * (1 - 1 / self.folds) / (self.subsets - 1)
        return max(found - self.sd_case**2 * spread, 0.0)


def table(values: NDArray, subsets: Sequence[int]) -> Table:
    """The mean squares of (runs, cases); the runs (seeds) of a subset are averaged first.

    A subset's value of a case that is not of its test fold is NaN. Any other NaN makes all NaN.
    """
    names, units = np.unique(np.asarray(subsets), return_inverse=True)
    values = np.asarray(values, float)
    cells = np.stack([values[units == unit].mean(axis=0) for unit in range(len(names))])
    blocks = folds_of(cells)
    means = np.concatenate([block.mean(axis=1) for block in blocks])
    of_cases = of_rest = case_freedom = rest_freedom = 0.0
    for block in blocks:
        count, cases = block.shape
        mean, by_subset, by_case = block.mean(), block.mean(axis=1), block.mean(axis=0)
        of_cases += count * ((by_case - mean) ** 2).sum()
        of_rest += ((block - by_subset[:, None] - by_case + mean) ** 2).sum()
        case_freedom += cases - 1
        rest_freedom += (count - 1) * (cases - 1)

    def square(total: float, freedom: float) -> float:
        return float(total / freedom) if freedom else np.nan

    ms_case, ms_rest = square(of_cases, case_freedom), square(of_rest, rest_freedom)
    if len(blocks) > 1 and not rest_freedom:  # a subset a fold: the rest is in the cases'
        ms_rest = ms_case
    count = len(means)
    found = Table(
        float(means.mean()),
        count,
        sum(block.shape[1] for block in blocks),
        np.nan,
        ms_case,
        ms_rest,
        count - 1,
        len(blocks),
    )
    return replace(found, ms_subset=found.of_subsets(means.var(ddof=1))) if count > 1 else found


def folds_of(cells: NDArray) -> list[NDArray]:
    """The (subsets, cases) of each test fold of a table; the whole of one that is all known.

    One block too, its NaN in it, if what is known does not fall apart into folds.
    """
    known = ~np.isnan(cells)
    if known.all() or not whole(cells):
        return [cells]
    return [cells[np.ix_((known == of).all(axis=1), of)] for of in np.unique(known, axis=0)]


def whole(values: NDArray) -> bool:
    """Whether (runs, cases) are all known, or each run is known on one of several test folds."""
    known = ~np.isnan(values)
    return bool(known.all() or (np.unique(known, axis=0).sum(axis=0) == 1).all())


def run_means(values: NDArray) -> NDArray:
    """(runs,) the mean of each run over its test cases; all NaN if one of these is not known."""
    found: NDArray = values.mean(axis=1)
    return np.nanmean(values, axis=1) if np.isnan(found).any() and whole(values) else found


def two_phase(values: NDArray, subsets: Sequence[int], levels: Mapping[int, float]) -> Table:
    """The table of a difference that was measured on some of the subsets that have a level.

    Args:
        values: (runs, cases) of the compared subsets.
        subsets: (runs,) the subset of each run.
        levels: of the baseline on every subset of the first phase, in any unit.

    With fewer than four compared subsets, or levels that do not differ, as ``table``.
    """
    found, names = table(values, subsets), np.unique(np.asarray(subsets))
    level = np.array([levels[int(name)] for name in names])
    every = np.array([*levels.values()])
    if found.subsets < 4 or not np.ptp(level):
        return found
    values = np.asarray(values, float)
    means = np.array([np.nanmean(values[np.asarray(subsets) == name]) for name in names])
    centred = level - level.mean()
    slope = float(means @ centred / (centred @ centred))
    residual = means - means.mean() - slope * centred
    freedom = found.subsets - 2
    scatter = float(residual @ residual) / freedom
    away = float(every.mean() - level.mean())
    variance = slope**2 * upper_variance(every) / len(every) + scatter * away**2 / (
        centred @ centred
    )
    return replace(
        found,
        mean=found.mean + slope * away,
        ms_subset=found.of_subsets(scatter),
        subset_freedom=float(freedom),
        first_phase=(float(variance), len(every) - 1.0),
    )


def upper_variance(values: NDArray, confidence: float = 0.95) -> float:
    """The upper confidence limit of the variance of a sample, of normal values."""
    from scipy import stats

    freedom = len(values) - 1
    return float(values.var(ddof=1) * freedom / stats.chi2.ppf(1 - confidence, freedom))


def error(found: Table) -> Error:
    """Standard error of the mean over subsets and cases; with one subset, of the cases alone."""
    size = found.subsets * found.per_subset
    squares = {
        "subset": (found.ms_subset, found.subset_freedom),
        "case": (found.ms_case, found.case_freedom),
    }
    known = {name: it for name, it in squares.items() if it[1] > 0 and np.isfinite(it[0])}
    if len(known) < 2:  # one subset or one case: nothing separates it from the rest
        if not known:
            return Error(np.nan, np.nan)
        ((square, freedom),) = known.values()
        return Error(float(np.sqrt(square / size)), freedom)
    rest, rest_freedom = found.ms_rest, found.rest_freedom
    pooled = {}
    for name, (square, freedom) in sorted(known.items(), key=lambda item: item[1][0]):
        if square > rest:
            pooled[name] = (square, freedom)
        else:
            rest = (rest * rest_freedom + square * freedom) / (rest_freedom + freedom)
            rest_freedom += freedom
    parts = [*pooled.values()]
    signs = {2: -1.0, 1: 0.0, 0: 1.0}[len(parts)]  # how the rest enters
    variance = sum(square for square, _ in parts) + signs * rest
    divisor = sum(square**2 / freedom for square, freedom in parts)
    divisor += abs(signs) * rest**2 / rest_freedom
    first, first_freedom = found.first_phase
    variance, divisor = variance / size + first, divisor / size**2 + first**2 / first_freedom
    if divisor == 0:
        return Error(0.0, np.inf)
    return Error(float(np.sqrt(variance)), float(variance**2 / divisor))


def interval(found: Table, prior_sd: float | None = None, level: float = LEVEL) -> Interval:
    """The interval of the mean, of confidence 1 - ``level``.

    ``prior_sd``: with fewer than five subsets their SD has a half-t prior of this scale, in the
    unit of the values; None: no prior whatever the number of subsets.
    """
    if np.isnan(found.mean):  # what is not known is not averaged over
        return Interval(np.nan, np.nan, np.nan)
    if has_prior(found, prior_sd):
        assert prior_sd is not None
        return posterior(found, prior_sd, level)
    from scipy import stats

    se, freedom = error(found)
    critical = (
        stats.t.isf(level / 2, freedom) if np.isfinite(freedom) else stats.norm.isf(level / 2)
    )
    reach = float(critical) * se
    return Interval(found.mean, found.mean - reach, found.mean + reach)


def has_prior(found: Table, prior_sd: float | None) -> bool:
    """Whether the interval of this table rests on a prior too."""
    return prior_sd is not None and 1 < found.subsets < FEW_SUBSETS and found.cases > 1


def p_value(found: Table, at: float = 0.0, prior_sd: float | None = None) -> float:
    """Two-sided p that the mean is ``at``; 1 if nothing varies and it is.

    ``prior_sd``: as of ``interval``, so that p and interval say the same.
    """
    from scipy import stats

    if np.isnan(found.mean):
        return np.nan
    if has_prior(found, prior_sd):
        assert prior_sd is not None
        weights, spread = _posterior(found, prior_sd)
        return 2 * float((weights * stats.norm.sf(abs(found.mean - at) / spread)).sum())
    se, freedom = error(found)
    if se == 0:
        return float(found.mean == at)
    return 2 * float(stats.t.sf(abs(found.mean - at) / se, freedom))


def mean_interval(
    found: Table, low: float, high: float, prior_sd: float | None = None, level: float = LEVEL
) -> Interval:
    """The interval of a mean of values between ``low`` and ``high``, inside which it stays.

    Args:
        found: of the values themselves.
        low, high: both finite: on the logit scale between them; ``high`` infinite: on the log
            scale; ``low`` infinite: as it is.
        prior_sd, level: as of ``interval``.

    A mean that is ``low`` or ``high`` has no interval but itself: every value is the same.
    """
    plain, mean = interval(found, prior_sd, level), found.mean
    if np.isnan(plain.low) or not np.isfinite(low):
        return plain
    if mean in (low, high):
        return Interval(mean, mean, mean)
    reach = plain.high - mean
    if np.isinf(high):
        factor = np.exp(min(reach / (mean - low), 700.0))
        return Interval(
            mean, float(low + (mean - low) / factor), float(low + (mean - low) * factor)
        )
    odds, stretch = (mean - low) / (high - mean), (high - low) / ((mean - low) * (high - mean))
    from scipy import special

    ends = special.expit(np.log(odds) + np.array([-reach, reach]) * stretch)
    first, last = low + (high - low) * ends
    return Interval(mean, float(first), float(last))


def posterior(found: Table, prior_sd: float, level: float = LEVEL) -> Interval:
    """The mean's posterior interval: half-t3 prior of the subset SD, flat of the case SD."""
    from scipy import optimize, stats

    weights, spread = _posterior(found, prior_sd)

    def below(reach: float) -> float:
        return float((weights * stats.norm.cdf(reach / spread)).sum() - 1 + level / 2)

    reach = optimize.brentq(below, 0, 60 * float(spread.max()))
    return Interval(found.mean, found.mean - reach, found.mean + reach)


def _posterior(found: Table, prior_sd: float, points: int = 120) -> tuple[NDArray, NDArray]:
    """The posterior as a mixture of normals about the mean: weights and standard deviations.

    The rest's variance is taken as estimated, since it has by far the most degrees of freedom.
    """
    from scipy import stats

    rest = max(found.ms_rest, 1e-12)
    shares = (np.arange(points) + 0.5) / points
    subset_sd = stats.t.ppf(0.5 + shares / 2, 3) * prior_sd  # equal shares of the prior
    largest = 6 * np.sqrt(max(found.ms_case, rest) / found.per_case)
    case_sd = shares * largest
    subset = rest + found.per_subset * subset_sd**2
    case = rest + found.per_case * case_sd**2

    def likelihood(square: float, freedom: float, expected: NDArray) -> NDArray:
        return -0.5 * freedom * (np.log(expected) + square / expected)

    log = likelihood(found.ms_subset, found.subset_freedom, subset)[:, None]
    log = log + likelihood(found.ms_case, found.case_freedom, case)
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    spread = np.sqrt((subset[:, None] + case - rest) / (found.subsets * found.per_subset))
    return weights, spread
