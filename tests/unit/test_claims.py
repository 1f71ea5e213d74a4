"""The verdict on each claim, on simulated data with known truth."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ssl_methods import methods
from ssl_methods.analysis.claims import CLAIMS, EACH_OTHER, judge_claims
from ssl_methods.analysis.comparisons import compare
from ssl_methods.analysis.design import Design

TRUTH = {"supervised": 0.70, "sdf_multitask": 0.74, "mean_teacher": 0.72, "dtc": 0.80}
PASSES = {"mean_teacher": 2.0, "ua_mt": 6.0}


def tables(
    dice, budgets=("4", "1.0"), gain=None, subsets=3, cases=24, seconds=None, classes=("1",)
):
    """``cases.csv`` and ``runs.csv``: Dice and seconds of each method, with effects and noise.

    Args:
        gain: by budget, the share of each method's lead over 0.70 that is left.
    """
    random = np.random.default_rng(0)
    of_case, of_subset = random.normal(0, 0.05, cases), random.normal(0, 0.02, subsets)
    gain = gain or dict.fromkeys(budgets, 1.0)
    rows, runs = [], []
    for method, budget, subset in itertools.product(dice, budgets, range(subsets)):
        run = {
            "method": method, "role": "method", "recipe": "unified", "budget": budget,
            "labeled": 20 if budget == "1.0" else int(budget),
            "unlabeled": 0 if budget == "1.0" else 20 - int(budget), "subset": subset, "seed": 0,
        }  # fmt: skip
        time = (seconds or {}).get(method, 100.0) * random.normal(1, 0.01)
        cost = {
            "train_seconds": time, "seconds_per_iteration": time / 600,
            "forward_passes_per_iteration": PASSES.get(method, 1.0), "device": "cpu",
        }  # fmt: skip
        for klass in classes:
            runs.append(run | {"class": klass} | cost | {"status": "done"})
            for case in range(cases):
                lead = (dice[method] - 0.70) * gain[budget]
                value = 0.70 + lead + of_case[case] + of_subset[subset] + random.normal(0, 0.01)
                rows.append(run | {"case": f"c{case}", "class": klass, "dice": value})
    return pd.DataFrame(rows), pd.DataFrame(runs)


def whole(found, number):
    return found[(found["claim"] == number) & found["part"].isna()].iloc[0]


def parts(found, number):
    own = found[(found["claim"] == number) & found["part"].notna()]
    return own.set_index("against")


# ---- the declared claims -------------------------------------------------------------------------


def test_every_method_that_is_named_exists():
    known = set(methods.names())
    for claim in CLAIMS:
        for part in claim.parts:
            assert set(part.method.split(" or ")) <= known
            assert part.against in known or part.not_here or part.against == EACH_OTHER


def test_a_row_for_each_claim_and_each_part():
    found = judge_claims(*tables(TRUTH))
    assert list(found.loc[found["part"].isna(), "claim"]) == [1, 2, 3, 4, 5, 6]
    words = {"supported", "contradicted", "equivalent", "undecided", "not run"}
    assert set(found["verdict"]) <= words
    assert found["text"].str.len().min() > 10 and found["reason"].str.len().min() > 5


# ---- each verdict --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtc", "verdict"), [(0.80, "supported"), (0.60, "contradicted"), (0.72, "equivalent")]
)
def test_few_labels(dtc, verdict):
    found = judge_claims(*tables({"supervised": 0.72, "mean_teacher": 0.72, "dtc": dtc}))
    assert whole(found, 2)["verdict"] == verdict
    assert set(parts(found, 2)["verdict"]) == {verdict}
    assert "not in the experiment: Entropy minimization, DAN, UA-MT" in whole(found, 2)["reason"]


def test_one_part_the_other_way_contradicts_the_whole():
    found = judge_claims(*tables(TRUTH | {"ua_mt": 0.90}))
    assert parts(found, 2).loc["supervised", "verdict"] == "supported"
    assert parts(found, 2).loc["ua_mt", "verdict"] == "contradicted"
    assert whole(found, 2)["verdict"] == "contradicted"
    assert "2 of 3 parts supported; contradicted: UA-MT" in whole(found, 2)["reason"]


def test_numbers_are_those_of_the_comparisons():
    cases, runs = tables(TRUTH)
    cases = cases.assign(jaccard=0.5, asd_voxel=1.0, hd95_voxel=1.0)
    part = parts(judge_claims(cases, runs), 2).loc["supervised"]
    keys = ["pair", "method", "budget", "metric"]
    compared = compare(cases, Design("supervised")).set_index(keys)
    row = compared.loc[("baseline", "dtc", "4", "dice")]
    assert part["effect"] == pytest.approx(row["difference"])
    assert (part["runs"], part["subsets"], part["cases"]) == (3, 3, 24)
    both = parts(judge_claims(cases, runs), 2)["p_value"].sort_values()
    assert part["p_holm"] == pytest.approx(
        np.maximum.accumulate(both.to_numpy() * [2, 1])[both.index.get_loc("supervised")]
    )


def test_a_part_whose_method_has_no_runs_is_not_run():
    found = judge_claims(*tables(TRUTH))
    own = parts(found, 1)
    assert own.loc[["supervised", "sdf_multitask"], "verdict"].tolist() == ["supported"] * 2
    assert own.loc["supervised", "method"] == "dtc" and own.loc["supervised", "budget"] == "1.0"
    assert own.loc["level_set_only", "verdict"] == "not run"
    assert whole(found, 1)["verdict"] == "undecided"
    assert "not run: Level set only" in whole(found, 1)["reason"]
    found = judge_claims(*tables(TRUTH | {"level_set_only": 0.70}))
    assert parts(found, 1)["verdict"].tolist() == ["supported"] * 3
    assert whole(found, 1)["verdict"] == "supported"


def test_all_labels_takes_the_supervised_variant_where_dtc_has_no_runs():
    cases, runs = tables({"supervised": 0.8, "sdf_multitask": 0.8, "dtc_supervised": 0.7})
    own = parts(judge_claims(cases, runs), 1)
    assert own.loc["supervised", "method"] == "dtc_supervised"
    assert whole(judge_claims(cases, runs), 1)["verdict"] == "contradicted"


@pytest.mark.parametrize(
    ("left", "verdict", "effect"),
    [(0.2, "supported", 0.08), (2.0, "contradicted", -0.10), (1.0, "equivalent", 0.0)],
)
def test_the_gain_shrinks(left, verdict, effect):
    found = judge_claims(*tables(TRUTH, gain={"4": 1.0, "1.0": left}))
    part = parts(found, 3).loc["supervised"]
    assert part["verdict"] == whole(found, 3)["verdict"] == verdict
    assert part["effect"] == pytest.approx(effect, abs=0.01) and part["budget"] == "4 - 1.0"


def test_one_budget_has_no_trend():
    found = judge_claims(*tables(TRUTH, budgets=("4",)))
    assert parts(found, 3)["reason"].item() == "a second budget is needed"
    assert set(parts(found, 1)["verdict"]) == {"not run"} == {whole(found, 1)["verdict"]}
    assert "every training case" in parts(found, 1).loc["supervised", "reason"]


PEERS = {name: 0.7 for name in ("dtc", "mean_teacher", "ua_mt", "cct", "sassnet")}


@pytest.mark.parametrize(
    ("dtc", "verdict"), [(50.0, "supported"), (200.0, "contradicted"), (100.0, "undecided")]
)
def test_time(dtc, verdict):
    found = judge_claims(*tables(PEERS, seconds={"dtc": dtc}, classes=("1", "2")))
    own = parts(found, 4)
    times = own[own["metric"] != "forward_passes_per_iteration"]
    assert len(times) == 8 and set(times["verdict"]) == {verdict}
    assert whole(found, 4)["verdict"] == verdict
    assert times["reason"].str.contains("beside other jobs are unreliable").all()
    assert (own["runs"] == 3).all() and own["cases"].isna().all()  # classes are not runs


def test_forward_passes_are_counted():
    own = parts(judge_claims(*tables(PEERS)), 4)
    passes = own[own["metric"] == "forward_passes_per_iteration"]
    assert passes["effect"].to_dict() == {"mean_teacher": -1, "ua_mt": -5}
    assert set(passes["verdict"]) == {"supported"}


def test_times_on_different_devices_are_not_compared():
    cases, runs = tables(PEERS, seconds={"dtc": 10.0})
    runs.loc[runs["method"] == "cct", "device"] = "cuda"
    own = parts(judge_claims(cases, runs), 4)
    assert set(own.loc["cct", "verdict"]) == {"undecided"}
    assert own.loc["cct", "reason"].str.contains("different devices: cpu, cuda").all()


@pytest.mark.parametrize(
    ("third", "verdict"), [(0.80, "supported"), (0.77, "contradicted"), (0.79, "undecided")]
)
def test_no_worse_than_by_more_than_a_point(third, verdict):
    found = judge_claims(*tables(TRUTH | {"multi_task_consistency": third}))
    own = parts(found, 5)
    assert own.loc[["supervised", "sdf_multitask"], "verdict"].tolist() == ["supported"] * 2
    assert own.loc["dtc", "verdict"] == whole(found, 5)["verdict"] == verdict
    assert own.loc["dtc", "effect"] == pytest.approx(third - 0.80, abs=0.005)


def test_every_other_method_is_found_in_the_experiment():
    found = judge_claims(*tables(TRUTH | {"bcp": 0.9, "mine": 0.7, "dtc_supervised": 0.9}))
    assert parts(found, 6)["verdict"].to_dict() == {"bcp": "contradicted", "mine": "supported"}
    none = parts(judge_claims(*tables(TRUTH)), 6)
    assert none["reason"].tolist() == ["the experiment has no other method"]


def test_bounds_and_controls_are_no_peers():
    cases, runs = tables(TRUTH | {"supervised_all": 0.9, "empty": 0.0})
    for table in (cases, runs):
        table.loc[table["method"] == "supervised_all", "role"] = "bound"
        table.loc[table["method"] == "empty", "role"] = "control"
    assert whole(judge_claims(cases, runs), 6)["verdict"] == "not run"


# ---- too little ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("subsets", "cases"), [(2, 24), (3, 19), (1, 24)])
def test_too_few_subsets_or_cases_are_undecided(subsets, cases):
    found = judge_claims(*tables(TRUTH, subsets=subsets, cases=cases))
    assert set(parts(found, 2)["verdict"]) == {"undecided"}
    assert parts(found, 2)["reason"].str.startswith("too few to tell").all()
    times = parts(found, 4).loc["mean_teacher"]
    assert times["reason"].str.startswith("too few").all() == (subsets < 3)


def test_what_is_missing_is_named():
    cases, runs = tables({"supervised": 0.7, "dtc": 0.8})
    found = judge_claims(cases, runs)
    assert parts(found, 2).loc["mean_teacher", "reason"] == "no runs of mean_teacher at budget 4"
    assert whole(found, 2)["verdict"] == "undecided"
    assert whole(found, 4)["verdict"] == "not run"
    apart = cases[(cases["method"] != "dtc") | (cases["subset"] == 0)]
    apart = apart[(apart["method"] != "supervised") | (apart["subset"] > 0)]
    assert parts(judge_claims(apart, runs), 2).loc["supervised", "reason"].startswith("no subset")


def test_a_case_that_is_not_known_decides_nothing():
    cases, runs = tables(TRUTH)
    cases.loc[(cases["method"] == "dtc") & (cases["case"] == "c3"), "dice"] = np.nan
    part = parts(judge_claims(cases, runs), 2).loc["supervised"]
    assert part["verdict"] == "undecided" and "not known" in part["reason"]


def test_holm_counts_all_parts_of_a_claim():
    own = parts(judge_claims(*tables(PEERS, seconds={"dtc": 90.0})), 4)
    p = own["p_value"].sort_values()
    steps = p.to_numpy() * np.arange(len(p), 0, -1)
    assert own["p_holm"].sort_values().to_numpy() == pytest.approx(
        np.maximum.accumulate(steps).clip(max=1)
    )
