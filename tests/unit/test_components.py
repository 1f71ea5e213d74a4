"""Intervals of a crossed table, against closed forms, statsmodels and simulated worlds."""

import numpy as np
import pytest
import statsmodels.formula.api as smf
from scipy import special, stats

from ssl_methods.analysis.components import (
    Table,
    error,
    interval,
    inverse_trigamma,
    moderated,
    p_value,
    table,
    two_phase,
)

CASES = 20


def world(random, subsets, sd_subset, sd_case, sd_rest, shift=0.0):
    """Differences (subsets, cases) in points, of mean ``shift``."""
    draw = random.normal
    return (
        shift
        + draw(0, sd_subset, (subsets, 1))
        + draw(0, sd_case, CASES)
        + draw(0, sd_rest, (subsets, CASES))
    )


def test_the_mean_squares_are_those_of_an_analysis_of_variance():
    import pandas as pd
    from statsmodels.stats.anova import anova_lm

    values = world(np.random.default_rng(7), 6, 5, 5, 5)
    found = table(values, range(6))
    assert min(found.ms_subset, found.ms_case) > found.ms_rest  # nothing is pooled
    frame = pd.DataFrame(values).stack().rename("y").reset_index()
    fitted = anova_lm(smf.ols("y ~ C(level_0) + C(level_1)", frame).fit())
    assert [found.ms_subset, found.ms_case, found.ms_rest] == pytest.approx([*fitted["mean_sq"]])
    variance = (found.ms_subset + found.ms_case - found.ms_rest) / (6 * CASES)
    assert error(found).se == pytest.approx(np.sqrt(variance))


def test_seeds_of_a_subset_are_averaged_first():
    values = world(np.random.default_rng(1), 4, 5, 5, 10)
    twice = np.vstack([values[:1] + 3, values[:1] - 3, values[1:]])
    assert table(twice, [0, 0, 1, 2, 3]) == table(values, range(4))


def test_one_subset_is_a_t_test_over_cases_and_one_case_one_over_subsets():
    values = np.random.default_rng(2).normal(1, 2, CASES)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert p_value(table(values[None], [0])) == pytest.approx(expected)
    assert p_value(table(values[:, None], range(CASES))) == pytest.approx(expected)
    assert np.isnan(interval(table(values[:1, None], [0])).low)
    assert p_value(table(np.zeros((3, 4)), range(3))) == 1


@pytest.mark.parametrize(
    ("sds", "subsets", "widest"),
    [((5, 5, 10), 3, 22.6), ((5, 5, 10), 8, 9.9), ((2, 3, 5), 5, 5.9), ((2, 3, 5), 12, 4.1)],
)
def test_coverage_and_width_in_regular_worlds(sds, subsets, widest):
    """Between 93 and 97 %, no wider than restricted maximum likelihood is there."""
    random, inside, widths = np.random.default_rng(3), [], []
    for _ in range(1000):
        found = interval(table(world(random, subsets, *sds), range(subsets)))
        inside.append(found.low <= 0 <= found.high)
        widths.append(found.high - found.low)
    assert 0.925 <= np.mean(inside) <= 0.975
    assert np.mean(widths) < widest


def test_the_prior_shortens_the_interval_of_three_subsets_and_keeps_its_coverage():
    random, inside, widths = np.random.default_rng(4), [], []
    for _ in range(250):
        found = interval(table(world(random, 3, 5, 5, 10), range(3)), prior_sd=5.0)
        inside.append(found.low <= 0 <= found.high)
        widths.append(found.high - found.low)
    assert np.mean(inside) >= 0.92
    assert np.mean(widths) < 17  # 22 without it


def test_two_phases_cover_where_the_gain_follows_the_level_and_are_shorter():
    random, widths, plain, inside = np.random.default_rng(5), [], [], []
    for _ in range(400):
        level = random.normal(60, 8, 40)
        gain = -0.6 * (level - 60) + random.normal(0, 3, 40)
        values = gain[:, None] + random.normal(0, 5, CASES) + random.normal(0, 5, (40, CASES))
        chosen = np.argsort(level)[2::5]  # one of each of eight strata
        levels = dict(enumerate(level.tolist()))
        found = interval(two_phase(values[chosen], chosen.tolist(), levels))
        inside.append(found.low <= 0 <= found.high)
        widths.append(found.high - found.low)
        one = interval(table(values[:8], range(8)))
        plain.append(one.high - one.low)
    assert np.mean(inside) >= 0.925
    assert np.mean(widths) < 0.85 * np.mean(plain)


def test_moderation_is_limmas():
    """The prior of limma's fitFDist restated: mean squares drawn around a common one."""
    random = np.random.default_rng(6)
    squares = 4.0 * stats.chi2.rvs(5, size=200, random_state=random) / 5
    squeezed = moderated([Table(0, 6, 1, square, 0, 0, 5) for square in squares])
    freedom = {it.subset_freedom for it in squeezed}
    assert len(freedom) == 1 and freedom.pop() > 25  # all alike: much is borrowed
    assert np.std([it.ms_subset for it in squeezed]) < 0.4 * np.std(squares)
    apart = [Table(0, 6, 1, square, 0, 0, 5) for square in np.geomspace(0.01, 1000, 30)]
    assert moderated(apart)[0].subset_freedom < 5 + 2  # nothing in common: little is
    assert moderated(apart[:2]) == apart[:2]
    for value in (0.01, 0.5, 3.0, 100.0):
        assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value)
