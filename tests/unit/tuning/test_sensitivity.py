"""The analysis of variance: against statsmodels, and on simulated tables whose parts are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ssl_methods.tuning.sensitivity import analyse, components, mean_squares, variance_table

SHAPE = (4, 3, 5, 2)  # k, lambda, subsets, seeds
PARTS = {"0": 4.0, "1": 1.0, "together": 0.0, "subset": 2.0, "seed": 0.5, "rest": 1.0}


def simulate(random: np.random.Generator, parts: dict[str, float]) -> np.ndarray:
    k, _, subsets, seeds = SHAPE
    first, second = np.linspace(-1, 1, k), np.array([-1.0, 0.0, 1.0])
    first *= (parts["0"] / first.var(ddof=1)) ** 0.5
    second *= (parts["1"] / second.var(ddof=1)) ** 0.5
    table = first[:, None, None, None] + second[None, :, None, None]
    table = table + random.normal(0, parts["subset"] ** 0.5, (1, 1, subsets, 1))
    table = table + random.normal(0, parts["seed"] ** 0.5, (1, 1, subsets, seeds))
    return table + random.normal(0, parts["rest"] ** 0.5, SHAPE)


def long(table: np.ndarray) -> pd.DataFrame:
    index = np.indices(table.shape).reshape(4, -1)
    names = ["k", "weight", "subset", "seed"]
    return pd.DataFrame(dict(zip(names, index, strict=True))).assign(dice=table.ravel())


def test_the_squares_are_those_of_statsmodels():
    table = simulate(np.random.default_rng(1), PARTS)
    model = ols("dice ~ C(k) * C(weight) + C(subset) / C(seed)", long(table)).fit()
    expected = anova_lm(model)
    squares, freedom = mean_squares(table[None], 2)
    named = {
        "0": "C(k)",
        "1": "C(weight)",
        "together": "C(k):C(weight)",
        "subset": "C(subset)",
        "seed": "C(subset):C(seed)",
        "rest": "Residual",
    }
    for ours, theirs in named.items():
        assert freedom[ours] == expected.loc[theirs, "df"], ours
        assert squares[ours][0] == pytest.approx(expected.loc[theirs, "mean_sq"]), ours
    rows = {row["source"]: row for row in analyse(table, ["k", "weight"], 10)}
    assert rows["k"]["p_value"] == pytest.approx(expected.loc["C(k)", "PR(>F)"])


def test_simulated_parts_are_found_on_average():
    random = np.random.default_rng(2)
    tables = np.stack([simulate(random, PARTS) for _ in range(1500)])
    squares, _ = mean_squares(tables, 2)
    found = components(squares, SHAPE)
    for name, part in PARTS.items():
        if part:
            assert found[name].mean() == pytest.approx(part, rel=0.08), name
    assert found["together"].mean() < 0.05


def test_intervals_hold_the_true_shares():
    """Of the settings: 95 % intervals that hold the truth in 85 to 100 of 100 tables."""
    random = np.random.default_rng(3)
    total, held = sum(PARTS.values()), {"k": 0, "subset": 0}
    for _ in range(100):
        rows = {
            row["source"]: row for row in analyse(simulate(random, PARTS), ["k", "weight"], 300)
        }
        for name, key in (("k", "0"), ("subset", "subset")):
            held[name] += rows[name]["low"] <= PARTS[key] / total <= rows[name]["high"]
    assert held["k"] >= 85
    assert held["subset"] >= 80


def test_what_the_design_cannot_tell_is_missing():
    table = simulate(np.random.default_rng(4), PARTS)
    rows = {row["source"]: row for row in analyse(table[..., :1], ["k", "weight"], 50)}
    assert rows["seed"]["not_known"] == "one seed per subset: its part is in 'subset'"
    assert "share" not in rows["seed"]
    rows = {row["source"]: row for row in analyse(table[..., :1, :], ["k", "weight"], 50)}
    assert rows["subset"]["not_known"] == "there is one subset"
    shares = [row["share"] for row in rows.values() if "share" in row]
    assert sum(shares) == pytest.approx(1)


def test_a_grid_with_a_hole_says_so():
    runs = long(simulate(np.random.default_rng(5), PARTS))
    runs["trial"], runs["method"] = runs["k"] * 3 + runs["weight"], "dtc"
    trials = runs.drop_duplicates("trial")[["method", "trial", "k", "weight"]]
    runs = runs.drop(columns=["k", "weight"])
    whole = variance_table(runs, trials, ["k", "weight"])
    assert whole["share"].sum() == pytest.approx(1)
    holed = variance_table(runs[runs["trial"] != 5], trials, ["k", "weight"])
    assert holed["share"].isna().all()
    assert "not every combination" in holed["not_known"].iloc[0]
