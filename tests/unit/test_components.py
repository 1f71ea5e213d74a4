"""Intervals of a crossed table, against closed forms, statsmodels and simulated worlds."""

import numpy as np
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from ssl_methods.analysis.components import (
    error,
    interval,
    mean_interval,
    p_value,
    run_means,
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


def test_a_mean_stays_within_what_is_possible_and_covers_on_its_scale():
    """Subsets that vary on the logit scale, as levels of Dice do with few labels."""
    random, truth, inside = np.random.default_rng(8), [], []
    worlds = [
        1 / (1 + np.exp(-(0.6 + random.normal(0, 1, (8, 1)) + random.normal(0, 0.4, (8, CASES)))))
        for _ in range(1000)
    ]
    truth = np.mean(worlds)
    for values in worlds:
        found = mean_interval(table(values, range(8)), 0, 1)
        assert 0 < found.low < found.mean < found.high < 1
        inside.append(found.low <= truth <= found.high)
    assert 0.925 <= np.mean(inside) <= 0.975


def test_scales_of_means():
    found = table(np.random.default_rng(9).lognormal(1, 1, (5, CASES)), range(5))
    plain, log = interval(found), mean_interval(found, 0, np.inf)
    assert log.low > 0 and log.high / log.mean == pytest.approx(log.mean / log.low)
    assert np.log(log.high / log.mean) == pytest.approx((plain.high - plain.mean) / plain.mean)
    assert mean_interval(found, -np.inf, np.inf) == plain
    nothing = table(np.zeros((5, CASES)), range(5))
    assert mean_interval(nothing, 0, 1) == (0, 0, 0)


def test_a_wider_confidence_is_wider_with_and_without_a_prior():
    found = table(world(np.random.default_rng(1), 4, 5, 5, 10), range(4))
    for prior in (None, 5.0):
        narrow, wide = (interval(found, prior, level) for level in (0.05, 0.005))
        assert wide.low < narrow.low < narrow.high < wide.high
    assert p_value(found, interval(found, level=0.02).low) == pytest.approx(0.02)
    assert p_value(found, interval(found, 5.0, 0.02).low, 5.0) == pytest.approx(0.02)


def folded(random, subsets, folds, sds):
    """(subsets, folds x CASES): subset n is known on fold n modulo their number."""
    sd_subset, sd_case, sd_rest = sds
    values = np.full((subsets, folds * CASES), np.nan)
    of_case = random.normal(0, sd_case, folds * CASES)
    for n in range(subsets):
        own = slice(n % folds * CASES, (n % folds + 1) * CASES)
        values[n, own] = (
            random.normal(0, sd_subset) + of_case[own] + random.normal(0, sd_rest, CASES)
        )
    return values


def test_a_subset_for_each_fold_is_a_t_test_over_subsets():
    values = folded(np.random.default_rng(11), 5, 5, (5, 5, 10))
    found = table(values, range(5))
    assert (found.cases, found.folds, found.per_subset, found.per_case) == (100, 5, 20, 1)
    means = np.nanmean(values, axis=1)
    assert error(found).se == pytest.approx(stats.sem(means))
    assert p_value(found) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


@pytest.mark.parametrize(("subsets", "folds"), [(5, 5), (10, 5), (20, 5), (12, 4), (13, 5)])
def test_rotated_folds_cover_and_are_narrower_than_the_same_test_cases(subsets, folds):
    random, inside, widths, same = np.random.default_rng(12), [], [], []
    for _ in range(600):
        found = interval(table(folded(random, subsets, folds, (5, 5.5, 14)), range(subsets)))
        inside.append(found.low <= 0 <= found.high)
        widths.append(found.high - found.low)
        one = interval(table(world(random, subsets, 5, 5.5, 14), range(subsets)))
        same.append(one.high - one.low)
    assert 0.925 <= np.mean(inside) <= 0.985
    if subsets > folds:
        assert np.mean(widths) < 0.97 * np.mean(same)


def test_what_is_not_known_makes_no_folds():
    values = np.random.default_rng(1).normal(size=(4, 6))
    values[1, 2] = np.nan
    assert np.isnan(table(values, range(4)).mean) and np.isnan(run_means(values)[1])
    values[:, 2] = np.nan
    assert np.isnan(interval(table(values, range(4))).low)
