"""The audits, on made-up measurements with known differences."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from support import simulated

from ssl_methods.analysis.audits import (
    audit_table,
    audits_note,
    shown_audits,
    shown_audits_briefly,
)
from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.components import interval as interval_of
from ssl_methods.analysis.components import table as components
from ssl_methods.analysis.latex import latex
from ssl_methods.analysis.questions.audits import Audits
from ssl_methods.analysis.shown import UNKNOWN, markdown
from ssl_methods.analysis.table_files import read_table
from ssl_methods.analysis.tables import with_class_mean
from ssl_methods.errors import UserError

METRICS = [
    "dice", "asd_voxel", "hd95_voxel", "asd_mm", "hd95_mm", "assd_mm",
    "dice_largest_component", "hd95_voxel_largest_component",
]  # fmt: skip


def measured(methods=("dtc",), subsets=3, cases=6, classes=("1",), **changes):
    """Cases of 0.5 mm voxels; what is changed is the same for all rows."""
    random, rows = np.random.default_rng(0), []
    for method, subset, case, klass in itertools.product(
        methods, range(subsets), range(cases), classes
    ):
        dice, distance = random.uniform(0.6, 0.9), random.uniform(1, 5)
        row = {
            "method": method, "role": "method", "recipe": "unified", "budget": "4", "labeled": 4,
            "subset": subset, "seed": 0, "case": f"c{case}", "class": klass,
            "crop_used_label": False,
            "dice": dice, "asd_voxel": distance, "hd95_voxel": 4 * distance,
            "asd_mm": distance / 2, "hd95_mm": 2 * distance, "assd_mm": distance / 2 + 0.25,
            "dice_largest_component": dice + 0.01,
            "hd95_voxel_largest_component": 4 * distance - 2,
            "empty_prediction": False, "empty_reference": False, "failure": 0,
        }  # fmt: skip
        rows.append(row | changes)
    return pd.DataFrame(rows)


def audits(cases, other=None, **declared):
    experiment = simulated.experiment(**({"methods": ["dtc"], "budgets": [4]} | declared))
    table = audit_table(experiment, None, [], cases, METRICS, other)
    return table.set_index(["audit", "reported_as", "instead_as", "metric"]).sort_index()


def test_known_differences_are_found():
    table = audits(measured())
    off_on = table.loc[("largest component", "off", "on")]
    assert off_on.loc["dice", "difference"] == pytest.approx(0.01)
    assert off_on.loc["hd95_voxel", "difference"] == pytest.approx(-2)
    row = table.loc[("ASD", "directed", "symmetric", "asd_mm")]
    assert row["difference"] == pytest.approx(0.25) and row["instead"] > row["reported"]
    voxel = table.loc[("unit", "voxel", "mm")]
    assert (voxel["instead"] / voxel["reported"]).to_numpy() == pytest.approx([0.5, 0.5])
    for _, row in table[table["status"] == "measured"].iterrows():
        assert (row["runs"], row["subsets"], row["cases"]) == (3, 3, 6)
        assert row["difference"] == pytest.approx(row["instead"] - row["reported"])
        assert row["low"] <= row["difference"] + 1e-9 and row["high"] >= row["difference"] - 1e-9


def test_the_interval_is_that_of_the_paired_differences():
    cases = measured()
    row = audits(cases).loc[("unit", "voxel", "mm", "asd_voxel")]
    by_run = cases.pivot(index="subset", columns="case", values="asd_voxel").to_numpy()
    interval = interval_of(components(-by_run / 2, [0, 1, 2]))
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(interval)


def test_empty_predictions_as_zero():
    cases = measured()
    empty = (cases["case"] == "c2") & (cases["subset"] == 1)
    cases.loc[empty, ["asd_voxel", "hd95_voxel"]] = 90.0
    cases.loc[empty, ["empty_prediction", "failure"]] = [True, 1]
    rows = audits(cases).loc[("empty prediction", "worst case", "zero")]
    assert rows["difference"].to_numpy() == pytest.approx([-90 / 18, -90 / 18])
    none = audits(measured()).loc[("empty prediction", "worst case", "zero")]
    assert (none["difference"] == 0).all()


def test_a_class_that_is_empty_alone_stays_one_row_of_the_mean():
    cases = measured(classes=("left", "right"), subsets=1, cases=2)
    empty = (cases["case"] == "c0") & (cases["class"] == "left")
    cases.loc[empty, ["empty_prediction", "failure"]] = [True, 1]
    means = with_class_mean(cases, METRICS).query("`class` == 'mean'").set_index("case")
    assert means.index.tolist() == ["c0", "c1"]
    assert means["failure"].to_dict() == {"c0": 1, "c1": 0}
    assert means["empty_prediction"].astype(bool).to_dict() == {"c0": True, "c1": False}
    own = cases[cases["case"] == "c0"].set_index("class")["asd_voxel"]
    difference = audits(cases).loc[("empty prediction", "worst case", "zero", "asd_voxel")]
    assert difference["difference"] == pytest.approx(-own["left"] / 2 / 2)  # of 2 classes, 2 cases


# ---- recipes and crops ---------------------------------------------------------------------------


def test_recipes_of_one_method_are_paired():
    methods = {
        "dtc": None,
        "dtc_released": {"method": "dtc", "recipe": "as_released"},
        "dtc_sharp": {"method": "dtc", "recipe": "as_released", "k": 100},
    }
    cases = measured()
    better = cases.assign(method="dtc_released", recipe="as_released", dice=cases["dice"] + 0.03)
    other = better.assign(method="dtc_sharp", dice=0.0)
    table = audits(pd.concat([cases, better, other]), methods=methods, baseline="dtc")
    rows = table.loc[[("recipe", "unified", "as_released", "dice")]]
    assert rows["method"].tolist() == ["dtc"]
    assert rows["difference"].item() == pytest.approx(0.03)


def test_the_crop_is_compared_between_two_experiments():
    cases = measured()
    cropped = cases.assign(crop_used_label=True, dice=cases["dice"] + 0.05)
    row = audits(cases, cropped, other_crop="cropped").loc[
        ("crop by reference label", "without", "with", "dice")
    ]
    assert row["difference"] == pytest.approx(0.05) and row["runs"] == 3
    only = cropped[cropped["subset"] == 0]
    row = audits(cases, only, other_crop="cropped").loc[
        ("crop by reference label", "without", "with", "dice")
    ]
    assert row["runs"] == 1 and row["difference"] == pytest.approx(0.05)
    with pytest.raises(UserError, match="cropped in the same way"):
        audits(cases, cases, other_crop="cropped")


def test_what_is_not_measured_is_not_run_and_says_what_it_needs():
    table = audits(measured()).reset_index()
    missing = table[table["status"] != "measured"].set_index("audit")
    assert set(missing.index) == {
        "checkpoint", "crop by reference label", "recipe", "precision",
    }  # fmt: skip
    assert missing["status"].str.startswith("not run: needs ").all()
    assert missing[["reported", "instead", "difference", "runs"]].isna().all(axis=None)
    named = audits(measured(), other_crop="cropped").reset_index().set_index("audit")
    assert "cropped has no tables yet" in named.loc["crop by reference label", "status"]


# ---- checkpoints ---------------------------------------------------------------------------------

DICE = {2: [0.9, 0.5], 4: [0.6, 0.6], 6: [0.5, 0.7]}  # by iteration: of two test cases
VALIDATION = {2: 0.3, 4: 0.9, 6: 0.5}


@pytest.fixture
def with_snapshots(tmp_path):
    declared = simulated.experiment(
        methods=["dtc"], budgets=[4], subsets=2, validation_cases=1,
        training={"iterations": 6, "snapshots": 3, "patch_size": [32, 32, 32]},
    )  # fmt: skip
    simulated.write_results(declared, tmp_path, test_cases=2)
    for i, run in enumerate(declared.runs()):
        rows = [
            {"iteration": t, "validation_dice": VALIDATION[t], "case": f"case_00{c}",
             "class": "chamber", "dice": DICE[t][c] - 0.1 * i, "jaccard": 0.5, "asd_voxel": 1.0,
             "hd95_voxel": 2.0}
            for t in DICE
            for c in (0, 1)
        ]  # fmt: skip
        pd.DataFrame(rows).to_csv(tmp_path / run.folder / "snapshots.csv", index=False)
    return declared, tmp_path


def test_each_rule_takes_its_checkpoint(with_snapshots):
    declared, results = with_snapshots
    collect(declared, results)
    table = read_table(results / "simulated/tables/audits.csv", Audits.columns)
    rows = table[table["audit"] == "checkpoint"].set_index(["reported_as", "instead_as"])
    # Means of two runs, the second 0.1 lower: iteration 6 has 0.55, 4 has 0.55, 2 has 0.65.
    expected = {
        ("last", "best on validation"): (0.55, 0.55),
        ("last", "best on test"): (0.55, 0.65),
        ("best on validation", "best on test"): (0.55, 0.65),
    }
    for pair, values in expected.items():
        assert tuple(rows.loc[pair, ["reported", "instead"]]) == pytest.approx(values)
        assert rows.loc[pair, "runs"] == 2 and rows.loc[pair, "status"] == "measured"
    text = (results / "simulated/tables/audits.md").read_text()
    assert "checkpoint: last / best on test | DTC | 4 | Dice % | 55.0 | 65.0 | +10.0 [" in text
    assert "the leak" in text


def test_without_validation_cases_that_rule_is_not_run(with_snapshots):
    declared, results = with_snapshots
    for path in results.rglob("snapshots.csv"):
        pd.read_csv(path).assign(validation_dice="").to_csv(path, index=False)
    collect(declared, results)
    table = read_table(results / "simulated/tables/audits.csv", Audits.columns)
    status = table[table["audit"] == "checkpoint"].set_index(["reported_as", "instead_as"])
    assert status.loc[("last", "best on test"), "status"] == "measured"
    for pair in (("last", "best on validation"), ("best on validation", "best on test")):
        assert status.loc[pair, "status"].endswith("and validation_cases")
        assert status.loc[pair, ["reported", "instead"]].isna().all()


def test_a_broken_file_of_snapshots_is_named(with_snapshots):
    declared, results = with_snapshots
    path = next(results.rglob("snapshots.csv"))
    path.write_text("iteration,dice\n1,0.5\n")
    with pytest.raises(UserError, match=r"snapshots\.csv: has no column"):
        collect(declared, results)


# ---- as shown ------------------------------------------------------------------------------------


def test_shown_with_what_each_audit_means():
    table = audits(measured(methods=("dtc", "cps"))).reset_index()
    shown = shown_audits(table)
    assert list(shown["Audit"].str.split(":").str[0].unique()) == list(table["audit"].unique())
    note = audits_note(table)
    for name in table["audit"].unique():
        assert f"{name[0].upper()}{name[1:]}, " in note
    assert "not run: needs" in markdown(shown, note) and r"\toprule" in latex(shown, note)


def test_briefly_from_the_lowest_to_the_highest_difference():
    better = measured(["dtc"], dice_largest_component=1.0)
    cases = pd.concat([measured(["supervised"]), better, measured(["empty"], role="control")])
    cases.loc[cases["method"] == "empty", "dice_largest_component"] = 0.0
    declared = simulated.experiment(methods=["supervised", "dtc", "empty"], budgets=[4])
    shown = shown_audits_briefly(audit_table(declared, None, [], cases, METRICS))
    row = shown.set_index(["Audit", "Metric"]).loc[("largest component: off / on", "Dice %")]
    gain = 100 * (1 - better["dice"].mean())
    assert row["Lowest difference"] == "+1.0 (Supervised)"
    assert row["Highest difference"] == f"{gain:+.1f} (DTC)"
    untested = shown[shown["Lowest difference"] == UNKNOWN]
    assert len(untested) and untested["What it means"].str.startswith("not run: needs").all()


# ---- precision -----------------------------------------------------------------------------------


def recorded_in(results, name, precision, **declared):
    """An experiment of two methods and two subsets, each run's precision recorded."""
    experiment = simulated.experiment(
        name=name, methods=["supervised", "dtc"], budgets=[4], subsets=2, **declared
    )
    simulated.write_results(experiment, results, test_cases=3)
    for run in experiment.runs():
        path = results / run.folder / "cost.json"
        cost = json.loads(path.read_text()) | {
            "precision": precision.get(run.name, "float32"), "least_precision": "tf32",
        }  # fmt: skip
        path.write_text(json.dumps(cost))
    return experiment


def test_the_precision_is_compared_between_two_experiments(tmp_path):
    rounded = recorded_in(tmp_path, "rounded", {"dtc": "bfloat16", "supervised": "tf32"})
    for run in rounded.runs():
        path = tmp_path / run.folder / "cases.csv"
        cases = pd.read_csv(path, dtype=str)
        gain = 0.02 if run.name == "dtc" else 0.01
        cases.assign(dice=cases["dice"].astype(float) + gain).to_csv(path, index=False)
    collect(rounded, tmp_path)
    exact = recorded_in(tmp_path, "exact", {}, other_precision="rounded")
    collect(exact, tmp_path)
    table = read_table(tmp_path / "exact/tables/audits.csv", Audits.columns)
    rows = table[table["audit"] == "precision"].set_index("method")
    assert rows["reported_as"].to_dict() == {"supervised": "float32", "dtc": "float32"}
    assert rows["instead_as"].to_dict() == {"supervised": "tf32", "dtc": "bfloat16"}
    assert rows["difference"].to_dict() == pytest.approx({"supervised": 0.01, "dtc": 0.02})
    assert (rows["runs"] == 2).all() and (rows["cases"] == 3).all()
    assert (
        "precision: float32 / bfloat16 | DTC | 4 | Dice %"
        in (tmp_path / "exact/tables/audits.md").read_text()
    )
    # What was computed in less than is asked for is said below the table.
    runs = read_table(tmp_path / "rounded/tables/runs.csv")
    assert set(runs.loc[runs["method"] == "dtc", "precision"]) == {"bfloat16"}
    note = (tmp_path / "rounded/tables/summary.md").read_text()
    assert "Computed in bfloat16, where tf32 is asked for (training.precision): DTC." in note
    assert "where tf32 is asked for" not in (tmp_path / "exact/tables/summary.md").read_text()


def test_the_same_precision_is_no_comparison(tmp_path):
    collect(recorded_in(tmp_path, "same", {}), tmp_path)
    with pytest.raises(UserError, match="'same' has no run that was computed in another"):
        collect(recorded_in(tmp_path, "exact", {}, other_precision="same"), tmp_path)


def test_a_run_that_records_no_precision_is_named(tmp_path):
    other = recorded_in(tmp_path, "rounded", {"dtc": "bfloat16"})
    collect(other, tmp_path)
    run = next(other.runs())
    path = tmp_path / run.folder / "cost.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items()
                                if k != "precision"}))  # fmt: skip
    with pytest.raises(UserError, match=r"cost\.json: records no precision"):
        collect(recorded_in(tmp_path, "exact", {}, other_precision="rounded"), tmp_path)


def test_another_precision_without_tables_is_not_run_yet(tmp_path):
    collect(recorded_in(tmp_path, "exact", {}, other_precision="rounded"), tmp_path)
    table = read_table(tmp_path / "exact/tables/audits.csv", Audits.columns).set_index("audit")
    assert table.loc["precision", "status"] == "not run: experiment rounded has no tables yet"
