"""Classes that a case does not have: what enters a mean, what is counted, and who gains by it."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.questions.registry import questions
from ssl_methods.analysis.table_files import read_table
from ssl_methods.analysis.tables import counts, with_class_mean
from ssl_methods.errors import UserError
from ssl_methods.evaluation.metrics import case_metrics
from ssl_methods.measures import OF_PAPERS
from ssl_methods.reporting.report import report
from ssl_methods.reporting.results import Results

CLASSES = ("liver", "tumour")
NONE = tuple((f"case_{i:03d}", "tumour") for i in range(2, 8))  # of 8 cases two have a tumour


def table(results, name):
    asked = questions(simulated.experiment()).get(name)
    path = results / "simulated" / "tables" / f"{name}.csv"
    return read_table(path, asked and asked.columns)


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    declared = simulated.collected(
        results, methods=["supervised", "dtc", "empty"], budgets=[4], test_cases=8,
        classes=CLASSES, absent=NONE, failures=False,
    )  # fmt: skip
    return declared, results


def test_means_are_over_the_cases_that_have_the_class(collected):
    """By hand, from the files of the runs."""
    declared, results = collected
    summary = table(results, "summary").set_index(["method", "class"])
    for method in declared.methods:
        files = [
            pd.read_csv(results / run.folder / "cases.csv")
            for run in declared.runs()
            if run.name == method
        ]
        values = {
            klass: [
                [
                    row.dice
                    for row in file.itertuples()
                    if (row.case, row[2]) not in NONE and row[2] == klass
                ]
                for file in files
            ]
            for klass in CLASSES
        }
        assert [len(own) for own in values["liver"]] == [8, 8, 8]
        assert [len(own) for own in values["tumour"]] == [2, 2, 2]
        for klass in CLASSES:
            row = summary.loc[method, klass]
            assert row["dice"] == pytest.approx(np.mean(values[klass]), abs=1e-6)
        by_case = [
            [np.mean([liver, tumour[i]]) if i < 2 else liver for i, liver in enumerate(livers)]
            for livers, tumour in zip(values["liver"], values["tumour"], strict=True)
        ]
        assert summary.loc[method, "mean"]["dice"] == pytest.approx(np.mean(by_case), abs=1e-6)


def test_counts_have_denominators_of_their_own(collected):
    _, results = collected
    names = ["cases", "measurements", "failures", "absent", "false_positives"]
    rows = table(results, "summary").set_index(["method", "class"])[names]
    assert rows.loc["dtc", "liver"].tolist() == [8, 24, 0, 0, 0]
    assert rows.loc["dtc", "tumour"].tolist() == [2, 6, 0, 18, 6]  # subset 1 predicts all six
    assert rows.loc["dtc", "mean"].tolist() == [8, 30, 0, 18, 6]
    assert rows.loc["empty", "tumour"].tolist() == [2, 6, 6, 18, 0]
    assert rows.loc["empty", "mean"].tolist() == [8, 30, 30, 18, 0]
    runs = table(results, "runs").set_index(["method", "class", "subset"])[names]
    assert runs.loc["dtc", "tumour", 1].tolist() == [2, 2, 0, 6, 6]
    assert runs.loc["dtc", "tumour", 0].tolist() == [2, 2, 0, 6, 0]
    text = (results / "simulated/tables/summary.md").read_text()
    assert "| 30 of 30 | 0 of 18 |" in text and "False positives" in text
    assert "a class that the case has" in text


def test_raw_measurements_stay_as_they_are(collected):
    _, results = collected
    cases = table(results, "cases")
    own = cases[cases["method"].eq("empty") & cases["empty_reference"]]
    assert len(own) == 18 and (own["dice"] == 1).all()


def test_comparisons_ranks_and_variance_stand_on_the_same_cases(collected):
    _, results = collected
    for name in ("comparisons", "variance", "ranks"):
        rows = table(results, name)
        assert set(rows.loc[rows["class"] == "tumour", "cases"]) == {2}, name
        assert set(rows.loc[rows["class"] == "mean", "cases"]) == {8}, name
    rows = table(results, "comparisons").set_index(["method", "class", "metric"])
    assert rows.loc[("empty", "tumour", "dice"), "difference"] < -0.5


def test_what_predicts_nothing_gains_nothing(collected):
    _, results = collected
    summary = table(results, "summary").set_index(["method", "class"])
    for klass in (*CLASSES, "mean"):
        assert summary.loc["empty", klass]["dice"] == 0
        assert summary.loc["empty", klass]["hd95_voxel"] == pytest.approx(74.1)
    audits = table(results, "audits")
    own = audits[audits["method"].eq("empty") & audits["audit"].eq("empty prediction")]
    assert (own["reported"] > 74).all() and (own["instead"] == 0).all()


@pytest.mark.system
def test_the_page_counts_both_kinds(collected):
    declared, results = collected
    text = report(declared, results).read_text()
    gaps = text[text.index('id="gaps"') : text.index('id="methods"')]
    assert "controls aside: none of 60 measurements" in gaps
    assert "does not have, controls aside: 12 of 36 measurements" in gaps
    shown = Results(declared, results)
    assert not shown.cases["empty_reference"].any()


def test_a_class_that_no_case_has_is_blank_and_never_one(tmp_path):
    none = tuple((f"case_{i:03d}", "tumour") for i in range(4))
    simulated.collected(
        tmp_path, methods=["supervised", "empty"], budgets=[4], subsets=2, test_cases=4,
        classes=CLASSES, absent=none,
    )  # fmt: skip
    rows = table(tmp_path, "summary").set_index(["method", "class"])
    assert rows.loc["supervised", "tumour"][["dice", "dice_low", "hd95_voxel"]].isna().all()
    assert rows.loc["supervised", "tumour"]["cases"] == 0
    assert rows.loc["empty", "mean"]["dice"] == 0


@pytest.mark.system
def test_no_case_with_any_class_ends_in_no_number(tmp_path):
    none = tuple((f"case_{i:03d}", "chamber") for i in range(3))
    declared = simulated.collected(
        tmp_path, methods=["supervised", "empty"], budgets=[4], subsets=2, test_cases=3, absent=none
    )
    assert table(tmp_path, "summary")["dice"].isna().all()
    assert table(tmp_path, "runs")["absent"].tolist() == [3, 3, 3, 3]
    text = report(declared, tmp_path).read_text()
    assert "none of 0 measurements" in text


def test_runs_that_saw_other_references_are_refused(tmp_path):
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    path = tmp_path / next(declared.runs()).folder / "cases.csv"
    own = pd.read_csv(path)
    own.loc[1, "empty_reference"] = True
    own.to_csv(path, index=False)
    with pytest.raises(UserError, match="case 'case_001' has class 'chamber' and by others"):
        collect(declared, tmp_path)


def test_a_checkpoint_is_chosen_without_classes_that_the_case_lacks(tmp_path):
    """The early weights predict nothing: they would be the best on cases without a tumour."""
    declared = simulated.experiment(
        methods=["supervised"], budgets=[4], subsets=1, validation_cases=1,
        training={"iterations": 600, "patch_size": [32, 32, 32], "snapshots": 2},
    )  # fmt: skip
    simulated.write_results(declared, tmp_path, test_cases=8, classes=CLASSES, absent=NONE)
    rows = []
    for iteration, case, klass in itertools.product((300, 600), range(8), CLASSES):
        name = f"case_{case:03d}"
        nothing = (name, klass) in NONE
        dice = float(nothing) if iteration == 300 else 0.8 * (not nothing)
        rows.append({
            "iteration": iteration, "validation_dice": 0.5 + iteration / 6000, "case": name,
            "class": klass, "dice": dice, "jaccard": dice, "asd_voxel": 1.0, "hd95_voxel": 1.0,
        })  # fmt: skip
    folder = tmp_path / next(declared.runs()).folder
    pd.DataFrame(rows).to_csv(folder / "snapshots.csv", index=False)
    collect(declared, tmp_path)
    audits = table(tmp_path, "audits")
    row = audits[audits["reported_as"].eq("last") & audits["instead_as"].eq("best on test")].iloc[0]
    assert row["reported"] == pytest.approx(0.8) and row["difference"] == 0


# ---- for any pattern of absence ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_predicted_is_never_better_than_the_truth_or_than_a_wrong_guess(data):
    """Masks are measured by ``case_metrics``; whoever predicts nothing has a mean Dice of 0."""
    cases, classes = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    rows = {"nothing": [], "something": []}
    for case, klass in itertools.product(range(cases), range(classes)):
        reference = (random.random((4, 5, 3)) < 0.4) & data.draw(st.booleans())
        for name, prediction in (
            ("nothing", np.zeros_like(reference)),
            ("something", random.random(reference.shape) < 0.3),
        ):
            key = {"case": f"c{case}", "class": str(klass), "method": name}
            rows[name].append(key | case_metrics(prediction, reference))
    frames = {}
    for name, own in rows.items():
        flags = ["empty_prediction", "empty_reference"]
        frame = pd.DataFrame(own)[["case", "class", "method", *OF_PAPERS, *flags]]
        frame["failure"] = (frame["empty_prediction"] & ~frame["empty_reference"]).astype(int)
        counted = counts(frame)
        assert counted["measurements"] + counted["absent"] == len(frame)
        assert counted["failures"] == frame["failure"].sum()
        frames[name] = with_class_mean(frame, OF_PAPERS)
    nothing, something = (frames[name].reset_index(drop=True) for name in rows)
    assert (nothing[["case", "class"]] == something[["case", "class"]]).all(axis=None)
    assert (nothing[["dice", "jaccard"]] == 0).all(axis=None)
    assert (nothing["hd95_voxel"] >= something["hd95_voxel"]).all()
