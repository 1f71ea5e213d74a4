"""Ranks, their agreement and false claims, on simulated data with known truth."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ssl_methods.analysis.ranks import (
    agreement,
    rank_shares,
    ranks,
)


def table(dice, subsets=3, cases=20, noise=0.01, budget="4", labeled=4, distances=None, seed=0):
    """A ``cases.csv``: dice of each method plus effects of case and run, and noise."""
    random = np.random.default_rng(seed)
    of_case, of_subset = random.normal(0, 0.08, cases), random.normal(0, 0.02, subsets)
    rows = []
    for method, subset, case in itertools.product(dice, range(subsets), range(cases)):
        value = dice[method] + of_case[case] + of_subset[subset] + random.normal(0, noise)
        distance = 20 * (1 - value) if distances is None else distances[method]
        rows.append({
            "method": method, "role": "method", "recipe": "unified", "budget": budget,
            "labeled": labeled, "subset": subset, "seed": 0, "case": f"c{case}", "class": "1",
            "dice": value, "jaccard": value / (2 - value),
            "asd_voxel": distance, "hd95_voxel": 4 * distance,
        })  # fmt: skip
    return pd.DataFrame(rows)


KNOWN = {"worst": 0.5, "best": 0.8, "middle": 0.7}


@pytest.mark.parametrize("metric", ["dice", "hd95_voxel"])
def test_a_clear_order_is_recovered(metric):
    found = ranks(table(KNOWN), metric)
    assert list(found["method"]) == ["best", "middle", "worst"]
    assert list(found["rank"]) == list(found["low"]) == list(found["high"]) == [1, 2, 3]
    assert found[["rank_1", "rank_2", "rank_3"]].to_numpy() == pytest.approx(np.eye(3))
    assert list(found["probability_first"]) == [1, 0, 0]
    mean = table(KNOWN).groupby("method")[metric].mean()
    assert found.set_index("method")["mean"].to_dict() == pytest.approx(mean.to_dict())


def test_equal_methods_have_every_rank_alike_often():
    random, shares = np.random.default_rng(1), []
    for _ in range(300):
        of_run = random.normal(0, 0.02, (4, 3, 1))
        values = of_run + random.normal(0, 0.05, (4, 1, 20)) + random.normal(0, 0.02, (4, 3, 20))
        shares.append(rank_shares(values, np.arange(3), replicates=200))
    assert np.mean(shares, axis=0) == pytest.approx(np.full((4, 4), 0.25), abs=0.05)


def test_the_same_method_twice_shares_its_ranks():
    cases = table({"a": 0.8, "worst": 0.3})
    twice = pd.concat([cases, cases[cases["method"] == "a"].assign(method="b")])
    found = ranks(twice).set_index("method")
    assert found.loc[["a", "b"], "rank"].tolist() == [1, 1] and found.loc["worst", "rank"] == 3
    assert found.loc[["a", "b"], "probability_first"].tolist() == [0.5, 0.5]
    assert found.loc["b", ["low", "high"]].tolist() == [1, 2]


def test_shares_sum_to_one_and_the_range_is_theirs():
    found = ranks(table(dict.fromkeys("abcdef", 0.7), noise=0.1))
    shares = found[[f"rank_{r}" for r in range(1, 7)]].to_numpy()
    assert shares.sum(axis=0) == pytest.approx(np.ones(6))
    assert shares.sum(axis=1) == pytest.approx(np.ones(6))
    for row, share in zip(found.itertuples(), shares, strict=True):
        assert share[row.low - 1 : row.high].sum() >= 0.95
        assert share[: row.low - 1].sum() < 0.025 and share[row.high :].sum() <= 0.025
    pd.testing.assert_frame_equal(found, ranks(table(dict.fromkeys("abcdef", 0.7), noise=0.1)))


@pytest.mark.parametrize(
    ("subsets", "of_run", "of_case", "rate"),
    [
        (3, 0.02, 0.04, 0.96),
        (3, 0.05, 0.02, 0.86),
        (8, 0.05, 0.02, 0.945),
        (1, 0.05, 0.02, 0.42),
        (1, 0.00, 0.10, 0.97),
    ],
)
def test_how_often_the_range_holds_the_true_rank(subsets, of_run, of_case, rate):
    """The rates that the module's text names; true means are 0.01 apart."""
    random, held = np.random.default_rng(2), []
    for _ in range(150):
        values = np.arange(5)[:, None, None] * 0.01 + random.normal(0, of_run, (5, subsets, 1))
        values = values + random.normal(0, of_case, (5, 1, 20))
        values = values + random.normal(0, 0.02, (5, subsets, 20))
        below = rank_shares(values, np.arange(subsets), replicates=400).cumsum(axis=1)
        low, high = ((below < end).sum(axis=1) + 1 for end in (0.025, 0.975))
        held.append((low <= 5 - np.arange(5)) & (high >= 5 - np.arange(5)))
    assert np.mean(held) == pytest.approx(rate, abs=0.04)


def test_bounds_controls_unknown_values_and_unshared_runs_are_left_out():
    cases = table(KNOWN | {"bound": 0.95, "empty": 0.0, "holes": 0.9})
    cases.loc[cases["method"] == "bound", "role"] = "bound"
    cases.loc[cases["method"] == "empty", "role"] = "control"
    cases.loc[(cases["method"] == "holes") & (cases["case"] == "c3"), "dice"] = np.nan
    cases = cases[~((cases["method"] == "best") & (cases["subset"] == 2))]
    found = ranks(cases)
    assert list(found["method"]) == ["best", "middle", "worst"]
    assert (found["runs"] == 2).all() and (found["methods"] == 3).all()
    assert ranks(cases[cases["role"] == "control"]).empty


def test_budgets_with_fewer_methods_have_fewer_ranks():
    both = pd.concat([table(KNOWN), table({"worst": 0.5, "best": 0.9}, budget="16", labeled=16)])
    found = ranks(both).set_index(["budget", "method"])
    assert found.loc[("16", "worst"), "rank"] == 2
    assert np.isnan(found.loc[("16", "worst"), "rank_3"])


# ---- agreement -----------------------------------------------------------------------------------


def taus(frame):
    return frame.set_index(["between", "first", "second"])["tau"]


def test_tau_is_1_for_the_same_order_and_minus_1_for_the_reverse():
    names = "abcd"
    low = table(dict(zip(names, (0.5, 0.6, 0.7, 0.8), strict=True)))
    same = low.assign(budget="16")
    dice = dict(zip(names, (0.8, 0.7, 0.6, 0.5), strict=True))
    reverse = table(dice, budget="1.0", distances=dict(zip(names, (9, 7, 5, 3), strict=True)))
    found = agreement(pd.concat([low, same, reverse]))
    dices = found[(found["between"] == "budgets") & (found["metric"] == "dice")]
    assert taus(dices).to_dict() == pytest.approx({
        ("budgets", "4", "16"): 1, ("budgets", "4", "1.0"): -1, ("budgets", "16", "1.0"): -1,
    })  # fmt: skip
    metrics = found[found["between"] == "metrics"].set_index(["budget", "first", "second"])["tau"]
    assert metrics["4", "dice", "asd_voxel"] == pytest.approx(1)  # smaller distance, higher Dice
    assert metrics["1.0", "dice", "asd_voxel"] == pytest.approx(-1)
    assert metrics["1.0", "asd_voxel", "hd95_voxel"] == pytest.approx(1)
    assert len(found) == 3 * 6 + 4 * 3 and (found["methods"] == 4).all()


def test_tau_of_one_exchanged_pair_in_closed_form():
    """Of 6 pairs 5 are concordant and 1 is not: (5 - 1) / 6."""
    a = table({"a": 0.2, "b": 0.4, "c": 0.6, "d": 0.8})
    b = table({"a": 0.2, "b": 0.6, "c": 0.4, "d": 0.8}, budget="16")
    found = agreement(pd.concat([a, b]))
    assert found[found["metric"] == "dice"]["tau"].item() == pytest.approx(4 / 6)


def test_one_method_has_no_order():
    found = agreement(table({"a": 0.5}))
    assert len(found) == 6 and found["tau"].isna().all() and (found["methods"] == 1).all()
