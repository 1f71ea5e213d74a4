"""collect, on simulated results with known truth."""

import json

import numpy as np
import pandas as pd
import pytest
from support import simulated

from ssl_methods.analysis.claims import claims_note, shown_claims
from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.latex import latex
from ssl_methods.analysis.measurements import read_cases
from ssl_methods.analysis.names import label
from ssl_methods.analysis.published import published_note, shown_published
from ssl_methods.analysis.questions.registry import questions
from ssl_methods.analysis.shown import UNKNOWN, duration, markdown, number, role_note, shown_summary
from ssl_methods.analysis.table_files import read_table
from ssl_methods.errors import UserError

MISSING = (("dtc", "16", 2, 0),)


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    declared = simulated.experiment(methods=["supervised", "dtc"])
    simulated.write_results(declared, results, missing=MISSING)
    collect(declared, results)
    return results


def table(results, name, experiment="simulated"):
    asked = questions(simulated.experiment()).get(name)
    path = results / experiment / "tables" / f"{name}.csv"
    return read_table(path, asked and asked.columns)


def test_cases_hold_every_row_of_every_run_unchanged(collected):
    cases = table(collected, "cases")
    assert len(cases) == (2 * 3 * 3 - 1) * 24
    folder = collected / "simulated/runs/dtc/labeled-4/subset-1/seed-0"
    own = pd.read_csv(folder / "cases.csv")
    part = cases[(cases["method"] == "dtc") & (cases["budget"] == "4") & (cases["subset"] == 1)]
    assert np.array_equal(part["dice"], own["dice"])
    assert list(part["labeled"].unique()) == [4] and list(part["unlabeled"].unique()) == [56]


def test_a_run_that_is_not_there_is_missing_and_never_zero(collected):
    runs = table(collected, "runs")
    assert len(runs) == 18 and (runs["status"] == "missing").sum() == 1
    missing = runs[runs["status"] == "missing"].iloc[0]
    assert (missing["method"], missing["budget"], missing["subset"]) == ("dtc", "16", 2)
    assert missing[["dice", "failures", "train_seconds", "cases"]].isna().all()
    row = table(collected, "summary").set_index(["method", "budget"]).loc[("dtc", "16")]
    assert (row["runs_done"], row["runs_declared"]) == (2, 3)
    assert "2 of 3" in (collected / "simulated/tables/summary.md").read_text()


def test_summary_is_the_mean_over_runs_and_cases(collected):
    cases, summary = (
        table(collected, "cases"),
        table(collected, "summary").set_index(["method", "budget"]),
    )
    for (method, budget), own in cases.groupby(["method", "budget"]):
        row = summary.loc[(method, budget)]
        assert row["dice"] == pytest.approx(own["dice"].mean(), rel=1e-5)
        assert row["hd95_voxel"] == pytest.approx(own["hd95_voxel"].mean(), rel=1e-5)
        by_subset = own.groupby("subset")["dice"].mean()
        assert row["dice_sd_subsets"] == pytest.approx(by_subset.std(ddof=1), rel=1e-4)
        assert row["dice_low"] < row["dice"] < row["dice_high"]
        assert np.isnan(row["dice_sd_seeds"]) and bool(row["jensen_ok"])


def test_all_labels_and_one_label_are_different_budgets(tmp_path):
    declared = simulated.experiment(methods=["supervised"], budgets=[1, 1.0], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    collect(declared, tmp_path)
    summary = table(tmp_path, "summary")
    assert list(zip(summary["budget"], summary["labeled"], strict=True)) == [("1", 1), ("1.0", 60)]


def test_empty_predictions_are_counted_unless_the_reference_is_empty_too(collected, tmp_path):
    summary = table(collected, "summary").set_index(["method", "budget"])
    assert summary.loc[("supervised", "4"), "failures"] == 1
    assert summary["failures"].sum() == 1
    declared = simulated.experiment(methods=["supervised"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    path = tmp_path / next(declared.runs()).folder / "cases.csv"
    own = pd.read_csv(path)
    own["empty_reference"] = own["empty_prediction"]
    own.to_csv(path, index=False)
    collect(declared, tmp_path)
    assert table(tmp_path, "summary")["failures"].tolist() == [0]


def test_the_true_difference_lies_in_its_interval(collected):
    rows = table(collected, "comparisons")
    row = rows[(rows["budget"] == "1.0") & (rows["metric"] == "dice")].iloc[0]
    assert (
        row["low"] - 0.02
        < simulated.TRUE_DICE["dtc"] - simulated.TRUE_DICE["supervised"]
        < row["high"] + 0.02
    )
    assert row["verdict"] == "better" and (row["subsets"], row["cases"]) == (3, 24)
    few = rows[(rows["budget"] == "16") & (rows["metric"] == "dice")].iloc[0]
    assert (few["verdict"], few["subsets"]) == ("", 2)
    assert few["missing"] == "runs of 1 of 3 subsets (2)"


def test_several_classes_have_a_row_each_and_one_for_their_mean(tmp_path):
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=2)
    simulated.write_results(declared, tmp_path, test_cases=5, classes=("anterior", "posterior"))
    collect(declared, tmp_path)
    rows = table(tmp_path, "summary").set_index(["method", "class"])["dice"]
    assert list(rows["dtc"].index) == ["anterior", "posterior", "mean"]
    assert rows["dtc", "mean"] == pytest.approx(
        (rows["dtc", "anterior"] + rows["dtc", "posterior"]) / 2, rel=1e-5
    )
    assert "mean" not in set(table(tmp_path, "cases")["class"])
    assert set(table(tmp_path, "comparisons")["class"]) == {"anterior", "posterior", "mean"}


def test_a_measurement_that_is_not_known_stays_blank(tmp_path):
    declared = simulated.experiment(methods=["supervised"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    folder = tmp_path / next(declared.runs()).folder
    own = pd.read_csv(folder / "cases.csv")
    own.loc[0, "assd_mm"] = np.nan
    own.to_csv(folder / "cases.csv", index=False)
    cost = json.loads((folder / "cost.json").read_text()) | {"peak_memory_mb": None}
    (folder / "cost.json").write_text(json.dumps(cost))
    collect(declared, tmp_path)
    row = table(tmp_path, "summary").iloc[0]
    assert row[["assd_mm", "assd_mm_low", "peak_memory_mb", "dice_sd_subsets"]].isna().all()
    assert row[["dice", "train_seconds"]].notna().all()


def test_one_method_has_no_comparison_and_says_so(tmp_path):
    declared = simulated.experiment(methods=["dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    collect(declared, tmp_path)
    assert table(tmp_path, "comparisons").empty
    assert "No comparison" in (tmp_path / "simulated/tables/comparisons.md").read_text()
    assert "share one labeled subset" in (tmp_path / "simulated/tables/summary.md").read_text()


def test_the_oracle_crop_is_flagged_in_every_row(tmp_path):
    declared = simulated.experiment(
        methods=["dtc"], budgets=[4], subsets=1, dataset={"name": "la", "importer": "left_atrium"}
    )
    simulated.write_results(declared, tmp_path, test_cases=4)
    collect(declared, tmp_path)
    for name in ("cases", "runs", "summary"):
        assert table(tmp_path, name)["crop_used_label"].all()


def test_collecting_twice_gives_the_same_bytes(collected):
    folder = collected / "simulated" / "tables"

    def content():
        files = (path for path in folder.iterdir() if path.name != ".lock")
        return {path.name: path.read_bytes() for path in files}

    before = content()
    collect(simulated.experiment(methods=["supervised", "dtc"]), collected)
    assert content() == before
    assert set(before) == {
        "cases.csv", "runs.csv", "summary.csv", "summary.md", "summary.tex",
        "comparisons.csv", "comparisons.md", "comparisons.tex",
        "comparisons_with_best.md", "comparisons_with_best.tex",
        "audits.csv", "audits.md", "audits.tex",
        "published.csv", "published.md", "published.tex", "claims.csv", "claims.md", "claims.tex",
        *(f"{name}.{form}" for name in ("ranks", "agreement", "variance")
          for form in ("csv", "md", "tex")),
        "references.bib", "SHA256SUMS", "collected.yaml",
    }  # fmt: skip


def test_what_is_concluded_says_the_truth(collected):
    claims = table(collected, "claims").set_index(["claim", "part"])
    assert claims.loc[(2, 1), "verdict"] == "supported"  # dtc against supervised
    assert claims.loc[(2, 2), "verdict"] == "not run"  # no mean teacher
    ranks = table(collected, "ranks")
    first = ranks[ranks["rank"] == 1]
    assert list(first["budget"]) == ["4", "16", "1.0"] and set(first["method"]) == {"dtc"}
    assert (first["probability_first"] > 0.99).all()
    assert {"dice", "4"} <= set(table(collected, "agreement")["first"])
    assert len(table(collected, "variance")) == 6


def test_a_table_of_no_rows_has_its_header(tmp_path):
    declared = simulated.experiment(methods=["empty"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    collect(declared, tmp_path)
    for name in ("published", "ranks", "agreement"):
        rows = table(tmp_path, name)
        assert rows.empty and {"metric", "method", "first", "better"} & set(rows.columns)
    assert set(table(tmp_path, "claims")["verdict"]) == {"not run"}
    text = (tmp_path / "simulated/tables/published.md").read_text()
    assert text == "No published results are kept for this dataset.\n"


def test_claims_and_published_results_are_shown_alike_when_read_again(tmp_path):
    declared = simulated.experiment(
        methods=["supervised", "dtc"],
        budgets=[16],
        dataset={"name": "left_atrium", "importer": "left_atrium"},
    )
    simulated.write_results(declared, tmp_path, test_cases=20)
    collect(declared, tmp_path)
    claims, published = table(tmp_path, "claims"), table(tmp_path, "published")
    assert {"supervised", "dtc", ""} == set(published["run"])
    for name, shown, note in (
        ("claims", shown_claims(claims), claims_note(claims)),
        ("published", shown_published(published), published_note(published)),
    ):
        folder = tmp_path / "simulated" / "tables"
        assert (folder / f"{name}.md").read_text() == markdown(shown, note)
        assert r"\linewidth}" in (folder / f"{name}.tex").read_text()


# ---- upper bounds and controls -------------------------------------------------------------------

ROWS = ["mean_shape", "supervised", "supervised_all", "empty", "dtc"]


@pytest.fixture(scope="module")
def with_roles(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    declared = simulated.experiment(methods=ROWS, budgets=[4, 16])
    missing = tuple(("supervised_all", "16", subset, 0) for subset in range(3))
    simulated.write_results(declared, results, test_cases=20, missing=missing)
    collect(declared, results)
    return results


def test_every_table_names_the_role_of_a_row(with_roles):
    for name in ("cases", "runs", "summary", "comparisons"):
        rows = table(with_roles, name)
        expected = [simulated.ROLES.get(method, "method") for method in rows["method"]]
        assert rows["role"].tolist() == expected
    assert (table(with_roles, "runs")["status"] == "missing").sum() == 3


def test_rows_are_bounds_methods_controls_within_each_budget(with_roles):
    text = (with_roles / "simulated/tables/summary.md").read_text()
    cells = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith("| ")][2:]
    names = [cell[0].removeprefix("| ") for cell in cells]
    apart = ["*Supervised (all labels)*", "Supervised", "DTC", "*Mean shape*", "*Empty*"]
    assert names == apart * 2  # as people call them; the CSV has the names of the settings
    assert set(table(with_roles, "summary")["method"]) == set(ROWS)
    labeled = ["all", "4", "4", "4", "4", "all", "16", "16", "16", "16"]
    assert [cell[1] for cell in cells] == labeled
    assert (
        "Upper bound, given every training label at each budget: Supervised (all labels)." in text
    )
    assert "any method should beat it: Mean shape, Empty." in text


def test_latex_sets_bounds_and_controls_apart(with_roles):
    lines = (with_roles / "simulated/tables/summary.tex").read_text().splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    heads = [line.split(" & ")[0] for line in body[:8]]
    assert heads[0] == r"\textit{Supervised (all labels)}" and heads[2:4] == ["Supervised", "DTC"]
    assert [i for i, head in enumerate(heads) if head == r"\addlinespace"] == [1, 4, 7]


def test_only_methods_are_tested_against_the_baseline(with_roles):
    rows = table(with_roles, "comparisons")
    apart = rows["role"] != "method"
    judged = ~apart & (rows["metric"] == "dice")
    assert rows.loc[judged, ["p_value", "p_holm"]].notna().all(axis=None)
    assert rows.loc[apart, ["p_value", "p_holm"]].isna().all(axis=None)
    assert rows.loc[apart, ["difference", "low", "high"]].notna().all(axis=None)
    assert set(rows.loc[~judged, "verdict"]) == {""} and "" not in set(rows.loc[judged, "verdict"])


def test_tables_and_runs_without_roles_are_all_of_methods(with_roles, tmp_path):
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    for path in tmp_path.rglob("run.yaml"):
        path.write_text(path.read_text().replace("role: method\n", ""))
    collect(declared, tmp_path)
    assert set(table(tmp_path, "runs")["role"]) == {"method"}
    old = table(with_roles, "summary").drop(columns="role")
    assert role_note(old) == ""
    assert shown_summary(old)["Method"].tolist() == [label(name) for name in ROWS] * 2
    assert "*" not in markdown(shown_summary(old), "note")


# ---- costs ---------------------------------------------------------------------------------------


def test_times_beside_other_jobs_are_marked_and_the_days_are_kept(tmp_path):
    """supervised shared the machine, dtc had it for itself."""
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    for path in tmp_path.rglob("cost.json"):
        cost = json.loads(path.read_text())
        share = 0.47 if "supervised" in path.as_posix() else 0.02
        path.write_text(json.dumps(cost | {"others_share": share, "finished": "2026-11-02"}))
    collect(declared, tmp_path)
    text = (tmp_path / "simulated/tables/summary.md").read_text()
    times = [
        line.split(" | ")[-1].strip(" |") for line in text.splitlines() if "Supervised" in line
    ]
    assert times[0].endswith(" *") and "*: trained beside jobs that had 47 % of the machine" in text
    assert not [line for line in text.splitlines() if line.startswith("| DTC") and "*" in line]
    assert set(table(tmp_path, "runs")["finished"]) == {"2026-11-02"}


# ---- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def one(tmp_path):
    declared = simulated.experiment(methods=["dtc"], budgets=[4], subsets=1)
    simulated.write_results(declared, tmp_path, test_cases=4)
    return declared, tmp_path, tmp_path / next(declared.runs()).folder


def test_no_run_at_all_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no run is done"):
        collect(simulated.experiment(), tmp_path)
    assert not (tmp_path / "simulated" / "tables" / "cases.csv").exists()


def test_a_run_with_other_settings_is_refused(one):
    _, results, _ = one
    changed = simulated.experiment(
        methods=["dtc"],
        budgets=[4],
        subsets=1,
        training={"iterations": 700, "patch_size": [32, 32, 32]},
    )
    with pytest.raises(UserError, match=r"run\.yaml: was trained with other settings"):
        collect(changed, results)


@pytest.mark.parametrize("damage", ["missing case", "case twice", "cut short"])
def test_a_damaged_table_is_refused_and_named(one, damage):
    declared, results, folder = one
    lines = (folder / "cases.csv").read_text().splitlines()
    lines = {
        "missing case": lines[:-1],
        "case twice": [*lines, lines[-1]],
        "cut short": [*lines[:-1], lines[-1][:30]],
    }[damage]
    (folder / "cases.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"cases\.csv.*evaluate it again"):
        collect(declared, results)
    assert {it.name for it in (results / "simulated" / "tables").iterdir()} <= {".lock"}


# ---- tables --------------------------------------------------------------------------------------


def test_names_that_look_like_numbers_or_gaps_stay_as_they_are(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text(
        "case,class,budget,dice,empty_prediction,empty_reference\n"
        "007,1,1.0,0.5,True,False\n"
        "NA,1,4,,True,False\n"
    )
    cases = read_table(path)
    assert cases["case"].tolist() == ["007", "NA"] and cases["budget"].tolist() == ["1.0", "4"]
    assert np.isnan(cases["dice"][1])


def test_flags_are_read_in_either_spelling(tmp_path):
    for flags in ("True,False", "1,0"):
        (tmp_path / "cases.csv").write_text(
            f"case,class,empty_prediction,empty_reference\na,1,{flags}\n"
        )
        assert read_cases(tmp_path / "cases.csv")["failure"].tolist() == [1]


def test_latex_and_markdown_escape_what_is_special_to_them():
    frame = pd.DataFrame({"Method": ["mean_teacher", "a|b"], "Dice %": ["91.2", UNKNOWN]})
    text = latex(frame, "95 % of it")
    assert (
        r"mean\_teacher" in text
        and r"Dice \%" in text
        and r"95 \% of it" in text
        and r"\toprule" in text
    )
    assert UNKNOWN not in text
    rows = markdown(frame, "note").splitlines()
    assert rows[0] == "| Method | Dice % |" and rows[3] == "| a\\|b | " + UNKNOWN + " |"


def test_a_table_longer_than_a_page_breaks_in_latex():
    frame = pd.DataFrame({"Method": ["a"] * 60, "Dice %": ["1.0"] * 60}, index=["method"] * 60)
    assert r"\begin{longtable}" in latex(frame, "note")
    assert r"\begin{tabular}" in latex(frame[:20], "note")


def test_numbers_are_shown_plainly():
    assert (
        number(0.91234, 1, 100) == "91.2"
        and number(np.nan) == UNKNOWN
        and number(0.02, 1, 100, sign=True) == "+2.0"
    )
    assert [duration(x) for x in (4.23, 48, 750, 11520, np.nan)] == [
        "4.2 s",
        "48 s",
        "12.5 min",
        "3.2 h",
        UNKNOWN,
    ]


def test_a_broken_table_is_named(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"runs\.csv"):
        read_table(tmp_path / "runs.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")
