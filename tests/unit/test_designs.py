"""Designs: strata, looks that keep the level, differences that can be detected; and verdicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from ssl_methods.analysis.components import Interval
from ssl_methods.analysis.designs import (
    detectable,
    nominal_levels,
    subsets_needed,
    upper_sd,
)
from ssl_methods.analysis.verdicts import remedy, verdict
from ssl_methods.data.compared import stratified_order


@given(
    st.lists(st.floats(0, 1), min_size=20, max_size=45, unique=True),
    st.lists(st.integers(2, 20), min_size=1, max_size=4, unique=True),
)
def test_each_look_takes_no_subset_twice_and_keeps_those_of_the_look_before(levels, looks):
    order = stratified_order(dict(enumerate(levels)), sorted(looks))
    assert len(order) == len(set(order)) == max(looks)
    ranks = np.argsort(np.argsort(levels))
    first = np.sort(ranks[order[: min(looks)]])
    strata = np.array_split(np.arange(len(levels)), min(looks))
    assert all(rank in stratum for rank, stratum in zip(first, strata, strict=True))


def test_looks_spend_five_percent_in_all():
    """Scores of independent increments, looked at as declared: level by simulation."""
    looks = (8, 12, 20)
    levels = nominal_levels(looks)
    assert levels == pytest.approx((0.0019, 0.0107, 0.0455), abs=3e-4)
    random = np.random.default_rng(0).normal(size=(40_000, 20)).cumsum(axis=1)
    scores = random[:, np.array(looks) - 1] / np.sqrt(looks)
    decided = (2 * stats.norm.sf(np.abs(scores)) < levels).any(axis=1)
    assert decided.mean() == pytest.approx(0.05, abs=0.004)
    assert nominal_levels((20,)) == pytest.approx((0.05,), abs=1e-4)


def test_what_is_detectable_is_what_statsmodels_says():
    for subsets in (3, 5, 8, 12, 24):
        effect = TTestPower().solve_power(nobs=subsets, alpha=0.05, power=0.8)
        assert detectable(3.0, subsets) == pytest.approx(3.0 * effect / np.sqrt(1), rel=2e-3)
    assert detectable(0.0, 10**4, error_case=1.3) == pytest.approx(1.3 * 2.802, rel=1e-3)
    assert subsets_needed(5, 6.0) == 14
    assert subsets_needed(1, 6.0, error_case=1.3) is None
    assert detectable(6.0, 13) > 5 >= detectable(6.0, 14)
    assert upper_sd(3.0, 2) == pytest.approx(3.0 * np.sqrt(2 / stats.chi2.ppf(0.2, 2)))


@pytest.mark.parametrize(
    ("gain", "p", "word"),
    [
        ((3, 1, 5), 0.001, "better"),
        ((-3, -5, -1), 0.001, "worse"),
        ((3, 1, 5), 0.2, "not_worse"),  # not after adjusting over the family
        ((0.5, -1, 1.9), 0.5, "equivalent"),
        ((1.0, 0.5, 1.5), 0.001, "equivalent"),  # there, and too small to matter
        ((2, -1.9, 6), 0.3, "not_worse"),
        ((0, -9, 9), 0.9, "undecided"),
        ((-3, -6, 0.1), 0.06, "undecided"),
        ((3, np.nan, np.nan), np.nan, "undecided"),
    ],
)
def test_five_words(gain, p, word):
    assert verdict(Interval(*map(float, gain)), p, margin=2.0) == word


def test_an_undecided_comparison_says_what_would_decide_it():
    assert remedy(6.0, 7, 0.3, 8, margin=5.0).startswith("about ")
    assert "more test cases" in remedy(6.0, 7, 2.0, 8, margin=2.0)
    assert remedy(6.0, 7, 0.0, 1, margin=2.0) == "a second labeled subset"
