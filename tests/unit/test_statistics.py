"""On simulated data with known truth: intervals cover, tests keep their level, signs are found."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_methods.analysis.comparisons import compare, comparison_note, of_pair
from ssl_methods.analysis.components import mean_interval
from ssl_methods.analysis.components import table as components
from ssl_methods.analysis.design import Design, Row
from ssl_methods.analysis.families import holm
from ssl_methods.analysis.jensen import jensen_ok, least_jaccard, row_ok
from ssl_methods.analysis.shown import shown_comparisons
from ssl_methods.analysis.statistics import spread, summarise, support, support_note

DESIGN = Design("supervised")


def test_a_summary_stays_within_what_is_possible_and_counts_seeds_where_all_is_labeled():
    near_one = table({"supervised": 0.29, "dtc": -0.3}, subsets=3, noise=0.01)
    near_one["dice"] = near_one["dice"].clip(0.0, 1.0)
    found = summarise(near_one, ["dice", "asd_voxel"]).set_index("method")
    assert (found["dice_low"] > 0).all() and (found["dice_high"] < 1).all()
    assert (found["asd_voxel_low"] > 0).all()
    few = table({"supervised": 0}, subsets=2, seeds=3)
    seeds = summarise(few.assign(budget="1.0"), ["dice"]).iloc[0]
    subsets = summarise(few, ["dice"]).iloc[0]
    assert seeds["dice"] == pytest.approx(subsets["dice"])
    assert seeds["dice_high"] - seeds["dice_low"] != subsets["dice_high"] - subsets["dice_low"]
    unknown = near_one.assign(dice=np.where(near_one["case"] == "c1", np.nan, near_one["dice"]))
    assert summarise(unknown, ["dice"])[["dice", "dice_low", "dice_high"]].isna().all(axis=None)


def test_spread_is_that_of_the_means_and_blank_where_there_is_one():
    means = np.array([0.70, 0.74, 0.80, 0.82])
    over_subsets, over_seeds = spread(means, [0, 0, 1, 1])
    assert over_subsets == pytest.approx(np.std([0.72, 0.81], ddof=1))
    assert over_seeds == pytest.approx(
        np.sqrt((np.var([0.70, 0.74], ddof=1) + np.var([0.80, 0.82], ddof=1)) / 2)
    )
    over_subsets, over_seeds = spread(means[:1], [0])
    assert np.isnan(over_subsets) and np.isnan(over_seeds)


# ---- compare -------------------------------------------------------------------------------------


def table(effects, subsets=3, seeds=1, cases=24, noise=0.02, budget="4"):
    """A ``cases.csv`` in which each method adds its effect to the same cases and runs."""
    random = np.random.default_rng(4)
    of_case, of_subset = random.normal(0, 0.05, cases), random.normal(0, 0.02, subsets)
    rows = []
    for method, subset, seed, case in itertools.product(
        effects, range(subsets), range(seeds), range(cases)
    ):
        dice = 0.7 + effects[method] + of_case[case] + of_subset[subset] + random.normal(0, noise)
        rows.append(
            (
                method,
                "unified",
                budget,
                4,
                subset,
                seed,
                f"c{case}",
                "1",
                dice,
                dice,
                10 - 10 * dice,
                20 - 20 * dice,
            )
        )
    keys = ["method", "recipe", "budget", "labeled", "subset", "seed", "case", "class"]
    names = [*keys, "dice", "jaccard", "asd_voxel", "hd95_voxel"]
    return pd.DataFrame(rows, columns=names)


def dice_rows(comparisons, pair="baseline"):
    return of_pair(comparisons[comparisons["metric"] == "dice"], pair).set_index("method")


def test_known_signs_are_recovered_in_both_directions_of_better():
    cases = table({"supervised": 0, "good": 0.05, "bad": -0.05})
    for metric in ("dice", "asd_voxel"):
        rows = of_pair(compare(cases, Design("supervised", metric, 0.1)), "baseline")
        rows = rows[rows["metric"] == metric].set_index("method")
        assert rows["verdict"].to_dict() == {"good": "better", "bad": "worse"}
        assert rows["subsets_won"].to_dict() == {"good": 3, "bad": 0}
        assert rows.loc["good", "cases_won"] >= 20
    assert rows.loc["good", "difference"] < 0
    good = dice_rows(compare(cases, DESIGN)).loc["good"]
    assert 0 < good["low"] < 0.05 < good["high"]


def test_the_interval_is_that_of_the_crossed_components():
    cases = table({"supervised": 0, "dtc": 0.03}, subsets=6)
    dice = cases.set_index(["subset", "case", "method"])["dice"].unstack("method")
    differences = (dice["dtc"] - dice["supervised"]).unstack("case").to_numpy()
    row = dice_rows(compare(cases, DESIGN)).loc["dtc"]
    expected = mean_interval(components(differences, range(6)), -1, 1)
    assert row[["difference", "low", "high"]].tolist() == pytest.approx(list(expected))
    means = differences.mean(axis=1)
    assert row["sd_subset"] == pytest.approx(100 * means.std(ddof=1))


def test_one_metric_is_judged_and_the_others_described():
    rows = of_pair(compare(table({"supervised": 0, "good": 0.05}), DESIGN), "baseline")
    judged = rows.set_index("metric")
    assert judged["verdict"].to_dict() == {
        "dice": "better", "jaccard": "", "asd_voxel": "", "hd95_voxel": "",
    }  # fmt: skip
    assert judged["p_value"].notna().to_dict()["dice"] and judged["p_value"].notna().sum() == 1
    assert judged[["difference", "low", "high"]].notna().all(axis=None)


def test_equal_methods_are_undecided_or_equivalent_by_the_margin():
    cases = table({"supervised": 0, "same": 0}, subsets=6)
    narrow, wide = (dice_rows(compare(cases, Design("supervised", margin=m))) for m in (0.1, 5))
    assert narrow.loc["same", "verdict"] == "undecided"
    assert "a difference of 0.1" in narrow.loc["same", "missing"]
    assert wide.loc["same", "verdict"] == "equivalent" and wide.loc["same", "missing"] == ""


def test_holm_multiplies_the_smallest_of_three_by_three():
    rows = dice_rows(compare(table({"supervised": 0, "a": 0.004, "b": 0.008, "c": 0}), DESIGN))
    p = rows["p_value"].astype(float).sort_values()
    adjusted = np.maximum.accumulate(p.to_numpy() * [3, 2, 1]).clip(max=1)
    assert rows.loc[p.index, "p_holm"].tolist() == pytest.approx(adjusted)


def test_bounds_and_controls_are_measured_but_do_not_count_as_methods():
    effects = {"supervised": 0, "a": 0.004, "b": 0.008, "c": 0}
    alone = dice_rows(compare(table(effects), DESIGN))
    cases = table(effects | {"top": 0.1, "nothing": -0.5})
    kinds = {"top": "bound", "nothing": "control"}
    cases["role"] = [kinds.get(method, "method") for method in cases["method"]]
    rows = dice_rows(compare(cases, DESIGN))
    assert rows["role"].to_dict() == {"a": "method", "b": "method", "c": "method"} | kinds
    assert rows["p_holm"].drop(["top", "nothing"]).to_dict() == alone["p_holm"].to_dict()
    for name, difference in (("top", 0.1), ("nothing", -0.5)):
        row = rows.loc[name]
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] == pytest.approx(difference, abs=0.02)
        assert np.isnan(row["p_value"]) and np.isnan(row["p_holm"]) and row["verdict"] == ""


# ---- looks and phases ----------------------------------------------------------------------------


def looking(*looks, subsets=8, **changes):
    row = Row(tuple(range(subsets)), looks)
    rows = {(name, "4"): row for name in ("supervised", "dtc", "cps")}
    return Design("supervised", rows=rows, seeds=(0,), **changes)


def test_nothing_is_judged_before_the_first_look_or_between_looks():
    cases = table({"supervised": 0, "dtc": 0.1}, subsets=7)
    early = dice_rows(compare(cases[cases["subset"] < 3], looking(4, 8))).loc["dtc"]
    assert (early["verdict"], early["subsets"]) == ("", 3) and np.isnan(early["looked_at"])
    assert early["missing"] == "runs of 1 of 4 subsets (3)"
    between = dice_rows(compare(cases, looking(4, 8))).loc["dtc"]
    assert (between["verdict"], between["subsets"], between["looked_at"]) == ("better", 4, 4)
    # The baseline's run has to be there too, and a gap is not passed over.
    gap = cases[~((cases["method"] == "supervised") & (cases["subset"] == 1))]
    late = dice_rows(compare(gap, looking(4, 8))).loc["dtc"]
    assert (late["verdict"], late["missing"]) == ("", "runs of 1 of 4 subsets (1)")


def test_an_early_look_asks_for_more_than_the_last():
    """At 4 of 40 subsets O'Brien and Fleming leave next to nothing to be spent."""
    cases = table({"supervised": 0, "dtc": 0.012}, subsets=4, noise=0.05)
    at_the_end = dice_rows(compare(cases, looking(4, subsets=4))).loc["dtc"]
    early = dice_rows(compare(cases, looking(4, 40, subsets=40))).loc["dtc"]
    assert early["p_holm"] == at_the_end["p_holm"]
    assert (at_the_end["p_holm"] < 0.05) == (at_the_end["verdict"] == "better")
    assert early["verdict"] == "undecided"


def test_methods_that_are_declared_and_not_trained_yet_count_in_the_family():
    cases = table({"supervised": 0, "dtc": 0.004}, subsets=8)
    row = dice_rows(compare(cases, looking(8))).loc["dtc"]
    assert row["p_holm"] == pytest.approx(min(1, 2 * row["p_value"]))


def test_two_phases_use_the_level_of_every_subset_of_the_first():
    random = np.random.default_rng(0)
    level = random.normal(60, 8, 40)
    cases = table({"supervised": 0, "dtc": 0}, subsets=8, noise=0.001)
    gains = -0.6 * (level[:8] - level.mean()) / 100
    shifted = cases["method"] == "dtc"
    cases.loc[shifted, "dice"] += gains[cases.loc[shifted, "subset"]]
    plain = dice_rows(compare(cases, looking(8))).loc["dtc"]
    levels = {"4": dict(enumerate(level.tolist()))}
    two = dice_rows(compare(cases, looking(8, levels=levels))).loc["dtc"]
    assert (plain["phases"], two["phases"]) == (1, 2)
    assert two["high"] - two["low"] < 0.7 * (plain["high"] - plain["low"])
    assert abs(two["difference"]) < 0.002 < abs(plain["difference"])


def test_only_runs_that_both_have_are_paired():
    cases = table({"supervised": 0, "dtc": 0.05}, noise=0)
    cases = cases[~((cases["method"] == "dtc") & (cases["subset"] == 2))]
    cases.loc[(cases["method"] == "supervised") & (cases["subset"] == 2), "dice"] = 0.0
    row = dice_rows(compare(cases, DESIGN)).loc["dtc"]
    assert row["runs"] == 2 and row["difference"] == pytest.approx(0.05)
    assert (row["verdict"], row["missing"]) == ("undecided", "1 more labeled subset")


def test_few_subsets_or_cases_are_said_to_be_few():
    assert support(3, 39) == "3 subsets, 39 cases"
    assert support(1, 39) == "1 subset, 39 cases: too few to tell"
    assert support(3, 19).endswith("too few to tell")


def test_without_the_baseline_there_is_nothing_to_compare():
    assert compare(table({"dtc": 0}), DESIGN).empty
    without = compare(table({"dtc": 0.05, "cps": 0}), DESIGN)
    assert set(without["pair"]) == {"best"} and set(without["method"]) == {"cps"}


EFFECTS = {"supervised": 0, "good": 0.05, "bad": -0.05, "best": 0.10}


def test_every_method_is_compared_with_the_best():
    comparisons = compare(table(EFFECTS, subsets=5), DESIGN)
    rows = of_pair(comparisons, "best")
    assert set(rows["baseline"]) == {"best"} and set(rows["metric"]) == {"dice"}
    assert rows.set_index("method")["verdict"].to_dict() == {
        "supervised": "worse", "good": "worse", "bad": "worse",
    }  # fmt: skip
    dice = dice_rows(comparisons, "best")
    assert dice["difference"].to_dict() == pytest.approx(
        {"supervised": -0.10, "good": -0.05, "bad": -0.15}, abs=0.01
    )
    both_ways = dice_rows(comparisons).loc["best"]
    assert both_ways["difference"] == pytest.approx(-dice.loc["supervised", "difference"])
    shown = shown_comparisons(rows)
    assert "Difference from the best" in shown and set(shown["Best"]) == {"best"}
    assert "chosen from the same measurements" in comparison_note(rows, DESIGN)
    against = of_pair(comparisons, "baseline")
    assert "chosen from" not in comparison_note(against, DESIGN)
    assert "with a margin of 2 points" in comparison_note(against, DESIGN)


def test_the_best_is_never_a_bound_or_control():
    cases = table(EFFECTS | {"top": 0.2})
    cases["role"] = np.where(cases["method"] == "top", "bound", "method")
    rows = of_pair(compare(cases, DESIGN), "best")
    assert set(rows["baseline"]) == {"best"} and "top" not in set(rows["method"])


def test_a_prior_is_named_where_it_matters():
    few = of_pair(compare(table({"supervised": 0, "dtc": 0.03}), DESIGN), "baseline")
    many = of_pair(compare(table({"supervised": 0, "dtc": 0.03}, subsets=5), DESIGN), "baseline")
    assert "the prior matters" in comparison_note(few, DESIGN)
    assert "prior" not in comparison_note(many, DESIGN)
    assert few.set_index("metric")["prior"].to_dict()["hd95_voxel"] is False


# ---- level ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0, 1, 2, 7])
def test_holm_is_that_of_statsmodels(known):
    from statsmodels.stats.multitest import multipletests

    random = np.random.default_rng(known)
    p_values = np.array([*random.uniform(0, 0.2, known).round(2), np.nan])
    random.shuffle(p_values)
    found, there = holm(p_values), ~np.isnan(p_values)
    assert np.isnan(found[~there]).all()
    if known:
        assert found[there] == pytest.approx(multipletests(p_values[there], method="holm")[1])


def test_few_subsets_and_cases_are_named_in_a_note():
    assert support_note(3, 20) == ""
    assert "share one labeled subset" in support_note(1, 20)
    assert "2 labeled subsets" in support_note(2, 20) and "cases" not in support_note(2, 20)
    assert "19 test cases" in support_note(3, 19) and "subset" not in support_note(3, 19)


# ---- Jensen --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dice", "jaccard", "ok"),
    [
        (86.03, 73.26, False),  # DTC paper, Table 3: V-Net, 16 labels
        (91.14, 83.32, False),  # DTC paper, Table 3: V-Net, all labels
        (89.42, 80.98, True),  # DTC
        (88.23, 79.29, True),  # mean teacher
        (78.27, 64.75, True),  # DTC, pancreas
    ],
)
def test_jensen_finds_the_two_impossible_rows_of_the_paper(dice, jaccard, ok):
    assert jensen_ok(dice / 100, jaccard / 100, rounding=0.00005) is ok


def test_a_row_passes_only_if_it_does_with_post_processing_too():
    row = {"dice": 0.8, "jaccard": 0.7}
    largest = {"dice_largest_component": 0.9, "jaccard_largest_component": 0.7}
    assert row_ok(row) is True and row_ok(row | largest) is False
    assert row_ok({"dice": np.nan, "jaccard": np.nan}) is None


def test_least_jaccard_is_that_of_one_case():
    assert least_jaccard(0.8603) == pytest.approx(0.7548, abs=1e-4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_every_set_of_cases_passes_jensen(dice):
    dice = np.array(dice)
    assert jensen_ok(dice.mean(), (dice / (2 - dice)).mean())
