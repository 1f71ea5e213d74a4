"""On simulated data with known truth: intervals cover, tests keep their level, signs are found."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ssl_methods.analysis.comparisons import compare, comparison_note, of_pair
from ssl_methods.analysis.jensen import jensen_ok, least_jaccard, row_ok
from ssl_methods.analysis.ranks import false_claim_probability
from ssl_methods.analysis.shown import shown_comparisons
from ssl_methods.analysis.statistics import (
    bootstrap_interval,
    holm,
    mean_p,
    rank_biserial,
    spread,
    support,
    support_note,
    wilcoxon_p,
)
from ssl_methods.measures import of


def crossed(random, subsets, cases, sd, seeds=1):
    """(runs, cases) around 0: subset, seed and case effects, and noise."""
    of_subset, of_seed, of_case, noise = sd
    runs = random.normal(0, of_subset, (subsets, 1, 1)) + random.normal(
        0, of_seed, (subsets, seeds, 1)
    )
    values = (
        runs + random.normal(0, of_case, cases) + random.normal(0, noise, (subsets, seeds, cases))
    )
    return values.reshape(subsets * seeds, cases), np.repeat(np.arange(subsets), seeds)


@pytest.mark.parametrize(
    ("subsets", "seeds", "cases", "sd"),
    [
        (3, 1, 20, (0.03, 0.0, 0.10, 0.05)),  # the left atrium at this project's size
        (3, 1, 39, (0.03, 0.0, 0.05, 0.03)),  # the hippocampus
        (3, 3, 20, (0.03, 0.02, 0.10, 0.05)),
        (2, 1, 8, (0.03, 0.0, 0.08, 0.04)),  # the quickstart
        (1, 3, 20, (0.0, 0.03, 0.10, 0.05)),  # one subset: seeds and cases
        (1, 1, 20, (0.0, 0.0, 0.10, 0.05)),  # one run: cases alone
    ],
)
def test_interval_covers_the_truth_about_95_times_in_100(subsets, seeds, cases, sd):
    random = np.random.default_rng(5)
    simulations, covered = 400, 0
    for _ in range(simulations):
        values, of_run = crossed(random, subsets, cases, sd, seeds)
        interval = bootstrap_interval(values, of_run, replicates=800)
        covered += interval.low <= 0 <= interval.high
    assert 0.90 <= covered / simulations <= 0.985


def test_plain_percentile_interval_would_cover_too_rarely():
    """Why the interval is stretched: the usual one, of n draws, on the same data as above."""
    random, draws = np.random.default_rng(5), np.random.default_rng(6)
    covered = 0
    for _ in range(400):
        values, _ = crossed(random, 3, 39, (0.03, 0.0, 0.05, 0.03))
        runs = draws.multinomial(3, [1 / 3] * 3, 800) / 3
        cases = draws.multinomial(39, [1 / 39] * 39, 800) / 39
        low, high = np.quantile(((runs @ values) * cases).sum(1), [0.025, 0.975])
        covered += low <= 0 <= high
    assert covered / 400 < 0.90


def test_with_many_cases_and_one_run_it_is_the_t_interval():
    values = np.random.default_rng(0).normal(0.8, 0.1, (1, 400))
    interval = bootstrap_interval(values, [0], replicates=20000)
    expected = stats.t.interval(0.95, 399, values.mean(), stats.sem(values[0]))
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(expected, abs=4e-4)


def test_seeds_of_one_subset_stay_together():
    """Nine runs of three subsets know no more than three runs if seeds change nothing."""
    values, of_run = crossed(np.random.default_rng(1), 3, 20, (0.1, 0, 0.1, 0))
    once = bootstrap_interval(values, of_run)
    thrice = bootstrap_interval(np.repeat(values, 3, axis=0), np.repeat(of_run, 3))
    assert thrice == pytest.approx(once)


def test_same_seed_gives_the_same_bits_and_another_seed_does_not():
    values, of_run = crossed(np.random.default_rng(2), 3, 20, (0.1, 0, 0.1, 0.1))
    assert bootstrap_interval(values, of_run) == bootstrap_interval(values, of_run)
    assert bootstrap_interval(values, of_run, seed=1).low != bootstrap_interval(values, of_run).low


def test_what_is_not_known_is_not_averaged_over():
    values = np.array([[0.8, np.nan], [0.7, 0.9]])
    assert np.isnan(bootstrap_interval(values, [0, 1])).all()
    alone = bootstrap_interval(np.array([[0.8]]), [0])
    assert alone.mean == 0.8 and np.isnan([alone.low, alone.high]).all()
    assert np.isnan(wilcoxon_p(np.array([0.1, np.nan])))


def test_constant_values_have_an_interval_of_one_point():
    assert bootstrap_interval(np.full((3, 5), 0.75), [0, 1, 2]) == pytest.approx((0.75, 0.75, 0.75))


def test_interval_stays_within_what_the_metric_can_be():
    values = np.array([[0.99, 0.999, 0.5], [0.2, 1.0, 0.9]])
    interval = bootstrap_interval(values, [0, 1], of("dice").range)
    assert 0 <= interval.low < interval.mean < interval.high <= 1
    assert of("hd95_mm").range == (0, np.inf) and of("volume_error_ml").range == (-np.inf, np.inf)
    assert of("nsd_1mm").higher_is_better and not of("assd_mm").higher_is_better


def test_spread_is_that_of_the_means_and_blank_where_there_is_one():
    means = np.array([0.70, 0.74, 0.80, 0.82])
    over_subsets, over_seeds = spread(means, [0, 0, 1, 1])
    assert over_subsets == pytest.approx(np.std([0.72, 0.81], ddof=1))
    assert over_seeds == pytest.approx(
        np.sqrt((np.var([0.70, 0.74], ddof=1) + np.var([0.80, 0.82], ddof=1)) / 2)
    )
    over_subsets, over_seeds = spread(means[:1], [0])
    assert np.isnan(over_subsets) and np.isnan(over_seeds)


def test_wilcoxon_keeps_its_level():
    random = np.random.default_rng(3)
    rejected = np.mean([wilcoxon_p(random.normal(0, 1, 20)) < 0.05 for _ in range(1000)])
    assert 0.03 <= rejected <= 0.07


def test_wilcoxon_of_equal_methods_is_one():
    assert wilcoxon_p(np.zeros(5)) == 1.0


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
    comparisons = compare(table({"supervised": 0, "good": 0.05, "bad": -0.05}), "supervised")
    comparisons = of_pair(comparisons, "baseline")
    verdicts = comparisons.set_index(["method", "metric"])["verdict"]
    for metric in ("dice", "jaccard", "asd_voxel", "hd95_voxel"):
        assert verdicts["good", metric] == "better" and verdicts["bad", metric] == "worse"
    good = dice_rows(comparisons).loc["good"]
    assert good["low"] < 0.05 < good["high"] and good["low"] > 0
    assert good["wins"] + good["losses"] == 24 and good["wins"] >= 20
    distance = comparisons.set_index(["method", "metric"]).loc[("good", "asd_voxel")]
    assert distance["difference"] < 0 and distance["wins"] >= 20


def test_equal_methods_show_no_difference():
    comparisons = compare(table({"supervised": 0, "same": 0}), "supervised")
    assert dice_rows(comparisons).loc["same", "verdict"] == "no difference shown"


def test_holm_multiplies_the_smallest_of_three_by_three():
    rows = dice_rows(
        compare(table({"supervised": 0, "a": 0.004, "b": 0.008, "c": 0}), "supervised")
    )
    p = rows[["p_value", "p_mean"]].max(axis=1).sort_values()
    adjusted = np.maximum.accumulate(p.to_numpy() * [3, 2, 1]).clip(max=1)
    assert rows.loc[p.index, "p_holm"].to_numpy() == pytest.approx(adjusted)


def test_bounds_and_controls_are_measured_but_do_not_count_as_methods():
    effects = {"supervised": 0, "a": 0.004, "b": 0.008, "c": 0}
    alone = dice_rows(compare(table(effects), "supervised"))
    cases = table(effects | {"top": 0.1, "nothing": -0.5})
    kinds = {"top": "bound", "nothing": "control"}
    cases["role"] = [kinds.get(method, "method") for method in cases["method"]]
    rows = dice_rows(compare(cases, "supervised"))
    assert rows["role"].to_dict() == {"a": "method", "b": "method", "c": "method"} | kinds
    assert rows["p_holm"].drop(["top", "nothing"]).to_dict() == alone["p_holm"].to_dict()
    for name, difference in (("top", 0.1), ("nothing", -0.5)):
        row = rows.loc[name]
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] == pytest.approx(difference, abs=0.02)
        assert np.isnan(row["p_value"]) and np.isnan(row["p_holm"]) and row["verdict"] == ""


def test_only_runs_that_both_have_are_paired():
    cases = table({"supervised": 0, "dtc": 0.05}, noise=0)
    cases = cases[~((cases["method"] == "dtc") & (cases["subset"] == 2))]
    cases.loc[(cases["method"] == "supervised") & (cases["subset"] == 2), "dice"] = 0.0
    row = dice_rows(compare(cases, "supervised")).loc["dtc"]
    assert row["runs"] == 2 and row["difference"] == pytest.approx(0.05)
    assert row["verdict"] == "too few to tell"


def test_few_subsets_or_cases_are_said_to_be_few():
    assert support(3, 39) == "3 subsets, 39 cases"
    assert support(1, 39) == "1 subset, 39 cases: too few to tell"
    assert support(3, 19).endswith("too few to tell")


def test_without_the_baseline_there_is_nothing_to_compare():
    assert compare(table({"dtc": 0}), "supervised").empty
    without = compare(table({"dtc": 0.05, "cps": 0}), "supervised")
    assert set(without["pair"]) == {"best"} and set(without["method"]) == {"cps"}


EFFECTS = {"supervised": 0, "good": 0.05, "bad": -0.05, "best": 0.10}


def test_every_method_is_compared_with_the_best():
    comparisons = compare(table(EFFECTS), "supervised")
    rows = of_pair(comparisons, "best")
    assert set(rows["baseline"]) == {"best"} and len(rows) == 3 * 4
    assert set(rows["verdict"]) == {"worse"}
    dice = dice_rows(comparisons, "best")
    assert dice["difference"].to_dict() == pytest.approx(
        {"supervised": -0.10, "good": -0.05, "bad": -0.15}, abs=0.01
    )
    p = dice[["p_value", "p_mean"]].max(axis=1).sort_values()
    adjusted = np.maximum.accumulate(p.to_numpy() * [3, 2, 1])
    assert dice.loc[p.index, "p_holm"].to_numpy() == pytest.approx(adjusted)
    both_ways = dice_rows(comparisons).loc["best"]
    assert both_ways["difference"] == -dice.loc["supervised", "difference"]
    shown = shown_comparisons(rows)
    assert "Difference from the best" in shown and set(shown["Best"]) == {"best"}
    assert "chosen from the same measurements" in comparison_note(rows)
    assert "chosen from" not in comparison_note(of_pair(comparisons, "baseline"))


def test_the_best_is_never_a_bound_or_control():
    cases = table(EFFECTS | {"top": 0.2})
    cases["role"] = np.where(cases["method"] == "top", "bound", "method")
    rows = of_pair(compare(cases, "supervised"), "best")
    assert set(rows["baseline"]) == {"best"} and "top" not in set(rows["method"])


def test_effect_and_false_claim_are_those_of_the_differences_per_case():
    cases = table({"supervised": 0, "dtc": 0.01})
    rows = of_pair(compare(cases, "supervised"), "baseline").set_index("metric")
    by_case = cases.groupby(["method", "case"])["dice"].mean()
    differences = (by_case["dtc"] - by_case["supervised"]).to_numpy()
    above = stats.wilcoxon(differences, alternative="greater").statistic
    pairs = len(differences) * (len(differences) + 1) / 2
    assert rows.loc["dice", "effect_size"] == pytest.approx(2 * above / pairs - 1)
    assert rows.loc["asd_voxel", "effect_size"] == pytest.approx(2 * above / pairs - 1)
    t_test = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    assert differences.mean() > 0 and rows.loc["dice", "false_claim"] == pytest.approx(t_test)
    assert rows.loc["asd_voxel", "false_claim"] == pytest.approx(t_test)


def test_effect_size_in_closed_form():
    assert rank_biserial(np.array([1.0, 2, 3])) == 1 and rank_biserial(np.array([-0.1, -5])) == -1
    assert rank_biserial(np.array([3.0, -1, -2])) == 0  # rank 3 against ranks 1 and 2
    assert rank_biserial(np.array([0.0, 0, 4, -1])) == pytest.approx(1 / 3)
    assert rank_biserial(np.zeros(3)) == 0 and np.isnan(rank_biserial(np.array([1, np.nan])))


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


@pytest.mark.parametrize(
    ("subsets", "of_run", "over_cases"), [(3, 0.0, 0.05), (3, 0.02, 0.39), (5, 0.02, 0.32)]
)
def test_equal_methods_are_told_apart_no_more_often_than_said(subsets, of_run, over_cases):
    """Differences of equal methods, which have effects of their own in every run and case."""
    random, found = np.random.default_rng(8), []
    for _ in range(500):
        values, of_subset = crossed(random, subsets, 20, (of_run, 0, 0.02, 0.02))
        found.append((wilcoxon_p(values.mean(axis=0)), mean_p(values, of_subset)))
    rates = (np.array(found) < 0.05).mean(axis=0)
    assert rates[0] == pytest.approx(over_cases, abs=0.06)  # why the other is asked too
    assert rates[1] <= 0.07


def test_the_test_of_the_mean_is_a_t_test_where_one_source_varies():
    by_case = np.random.default_rng(0).normal(0.1, 0.2, 20)
    assert mean_p(by_case[None], [0]) == pytest.approx(stats.ttest_1samp(by_case, 0).pvalue)
    by_run = np.array([0.1, 0.2, 0.4])
    tiled = np.tile(by_run[:, None], (1, 20))
    assert mean_p(tiled, [0, 1, 2]) == pytest.approx(stats.ttest_1samp(by_run, 0).pvalue)
    assert mean_p(np.zeros((3, 5)), [0, 1, 2]) == 1
    assert np.isnan([mean_p(np.array([[0.1]]), [0]), mean_p(np.array([[0.1, np.nan]]), [0])]).all()


def test_a_clear_difference_is_found():
    random = np.random.default_rng(1)
    found = [mean_p(0.05 + crossed(random, 3, 20, (0.005, 0, 0.02, 0.02))[0], range(3))
             for _ in range(50)]  # fmt: skip
    assert np.mean(np.array(found) < 0.05) > 0.9


def test_the_probability_of_a_false_claim_is_the_rate_of_false_claims():
    """Methods whose true differences are spread widely: the better mean is wrong as often as said
    (a flat prior)."""
    random, said, wrong = np.random.default_rng(9), [], []
    for _ in range(2000):
        truth = random.uniform(-0.1, 0.1)
        differences = random.normal(truth, 0.1, 20)
        sign = np.sign(differences.mean())
        said.append(false_claim_probability(sign * differences))
        wrong.append(truth * sign < 0)
    assert np.mean(said) == pytest.approx(np.mean(wrong), abs=0.02)


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
