"""The parts of the variance, on simulated data with known parts and against statsmodels."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ssl_methods.analysis.variance import PARTS, components, shown_variance, variance_parts

SD = {"subset": 0.04, "seed": 0.02, "case": 0.08, "rest": 0.03}


def simulated(random, sizes, cases, sd=SD):
    """(runs, cases) with sizes[i] seeds of subset i, and the subset of each run."""
    subsets = np.repeat(np.arange(len(sizes)), sizes)
    of_run = random.normal(0, sd["subset"], len(sizes))[subsets]
    of_run = of_run + random.normal(0, sd["seed"], len(subsets))
    values = 0.7 + of_run[:, None] + random.normal(0, sd["case"], cases)
    return values + random.normal(0, sd["rest"], values.shape), subsets


def table(values, subsets, **columns):
    """As ``cases.csv``; runs of a subset are its seeds."""
    seeds = [list(subsets[:i]).count(subset) for i, subset in enumerate(subsets)]
    rows = [
        {"subset": subsets[i], "seed": seeds[i], "case": f"c{k}", "dice": values[i, k]}
        for i, k in itertools.product(*map(range, values.shape))
    ]
    same = {"method": "dtc", "recipe": "unified", "budget": "4", "labeled": 4, "class": "1"}
    return pd.DataFrame(rows).assign(**(same | columns))


@pytest.mark.parametrize("sizes", [(3, 3, 3, 3), (1, 2, 4, 5)])
def test_known_parts_are_recovered_on_average(sizes):
    random = np.random.default_rng(0)
    found = [components(*simulated(random, sizes, 20))[0] for _ in range(600)]
    means = pd.DataFrame(found).mean()
    for part in ("seed", "case", "rest"):
        assert means[part] == pytest.approx(SD[part] ** 2, rel=0.08)
    assert means["subset"] == pytest.approx(SD["subset"] ** 2, rel=0.15)  # from four subsets


def test_mean_squares_are_those_of_statsmodels():
    values, subsets = simulated(np.random.default_rng(1), (1, 2, 4), 6)
    parts, negative = components(values, subsets)
    assert not negative
    frame = table(values, subsets).assign(run=np.repeat(range(7), 6))
    by_subset = ols("dice ~ C(subset) + C(case)", frame).fit()
    by_run = ols("dice ~ C(run) + C(case)", frame).fit()
    of = anova_lm(by_subset)["mean_sq"]
    of_rest = by_run.mse_resid
    of_seed = anova_lm(by_subset, by_run).loc[1, "ss_diff"] / (7 - 3)
    n0 = (7 - (1 + 4 + 16) / 7) / 2
    assert parts["rest"] == pytest.approx(of_rest)
    assert parts["case"] == pytest.approx((of["C(case)"] - of_rest) / 7)
    assert parts["seed"] == pytest.approx((of_seed - of_rest) / 6)
    assert parts["subset"] == pytest.approx((of["C(subset)"] - of_seed) / (6 * n0))
    assert parts["run"] == pytest.approx(parts["subset"] + parts["seed"])


def test_effects_of_cases_alone_in_closed_form():
    """No run differs from another: all is of the cases, the variance between them."""
    of_case = np.array([0.5, 0.6, 0.9, 0.8])
    parts, negative = components(np.tile(of_case, (4, 1)), [0, 0, 1, 1])
    assert parts["case"] == pytest.approx(of_case.var(ddof=1))
    assert parts["run"] == parts["subset"] == parts["seed"] == 0 and not negative
    assert parts["rest"] == pytest.approx(0, abs=1e-30)
    shares = variance_parts(table(np.tile(of_case, (4, 1)), [0, 0, 1, 1])).iloc[0]
    assert shares["case_share"] == pytest.approx(1)


def test_negative_estimates_are_zero_and_named():
    """Rows of a Latin square: every run has the same mean although its cases differ."""
    values = np.array([[0.1, 0.2, 0.3], [0.2, 0.3, 0.1], [0.3, 0.1, 0.2]])
    parts, negative = components(values, [0, 1, 2])
    assert (parts["run"], parts["case"]) == (0, 0) and negative == ["run", "case"]
    row = variance_parts(table(values, [0, 1, 2])).iloc[0]
    assert row["negative"] == "run, case" and row["rest_share"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("subsets", "known", "reason"),
    [
        ([0, 1, 2], {"run", "case", "rest"}, "subset and seed apart: one seed per subset"),
        ([5, 5, 5], {"seed", "case", "rest"}, "subset: there is one"),
        ([0], set(), "everything: one run"),
        ([0, 0, 1], set(PARTS), ""),
    ],
)
def test_what_the_design_cannot_tell_is_missing(subsets, known, reason):
    values, _ = simulated(np.random.default_rng(2), [len(subsets)], 12)
    row = variance_parts(table(values, subsets)).iloc[0]
    assert {part for part in PARTS if pd.notna(row[f"{part}_variance"])} == known
    assert row["not_known"] == reason
    if known:
        parts = known - {"subset", "seed"} if "run" in known else known
        assert sum(row[f"{part}_share"] for part in parts) == pytest.approx(1)


def test_one_seed_per_subset_gives_both_as_of_the_run():
    random = np.random.default_rng(3)
    found = [components(*simulated(random, [1] * 5, 20))[0]["run"] for _ in range(600)]
    assert np.mean(found) == pytest.approx(SD["subset"] ** 2 + SD["seed"] ** 2, rel=0.08)


def test_a_case_that_is_not_known_leaves_nothing_known():
    values, subsets = simulated(np.random.default_rng(4), (2, 2), 5)
    values[0, 0] = np.nan
    row = variance_parts(table(values, subsets)).iloc[0]
    assert np.isnan(row["rest_variance"]) and row["not_known"].startswith("everything")


def test_a_row_per_method_budget_and_class():
    values, subsets = simulated(np.random.default_rng(5), (2, 2), 5)
    frames = [
        table(values, subsets, method=method, budget=budget, **{"class": klass})
        for method, budget, klass in itertools.product("ab", ("4", "1.0"), ("1", "2"))
    ]
    parts = variance_parts(pd.concat(frames))
    assert len(parts) == 8 and (parts["role"] == "method").all()
    assert (parts["runs"] == 4).all() and (parts["subsets"] == 2).all()
    assert parts["rest_variance"].nunique() == 1


def test_intervals_of_shares_hold_the_truth_and_few_subsets_show_none():
    random, truth = np.random.default_rng(6), SD["case"] ** 2
    total = sum(sd**2 for sd in SD.values())
    inside = []
    for _ in range(40):
        values, subsets = simulated(random, [2] * 8, 20)
        row = variance_parts(table(values, subsets)).iloc[0]
        inside.append(row["case_share_low"] <= truth / total <= row["case_share_high"])
        assert row["subset_share_low"] <= row["subset_share_high"]
    assert np.mean(inside) >= 0.85  # of 40: fewer than 34 in one of 50 tries at 95 %
    shown = shown_variance(variance_parts(table(*simulated(random, [2] * 5, 12))))
    assert re.fullmatch(r"\d+ \[\d+, \d+\]", shown["Case %"].iloc[0])
    shown = shown_variance(variance_parts(table(*simulated(random, [2] * 4, 12))))
    assert "Case %" not in shown and shown["Not known"].iloc[0] == "shares: fewer than 5 subsets"


def test_runs_alone_that_differ_leave_a_share_of_one():
    """Nothing is of cases or of the rest, so that a simulated table may have no variance at all."""
    values = np.tile(np.array([[0.5], [0.75], [0.5], [0.75], [0.625]]), (1, 4))
    row = variance_parts(table(values, [0, 1, 2, 3, 4])).iloc[0]
    assert row["run_share"] == pytest.approx(1) and row["run_share_low"] == pytest.approx(1)
    assert not variance_parts(table(values * 0, [0, 1, 2, 3, 4]))["run_share"].notna().any()
