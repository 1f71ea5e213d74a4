"""Figures and the page, on simulated results with known truth."""

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import simulated
from PIL import Image
from pypdf import PdfReader
from scipy.ndimage import distance_transform_edt

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.comparisons import COMPARISON_COLUMNS
from ssl_methods.analysis.tables import UNKNOWN
from ssl_methods.errors import UserError
from ssl_methods.reporting import tables
from ssl_methods.reporting.figures import level_sets, results, training
from ssl_methods.reporting.found import Results
from ssl_methods.reporting.overlays import best_median_worst
from ssl_methods.reporting.report import conclusions, description, jensen, listed, reading, report
from ssl_methods.reporting.style import (
    DOUBLE,
    FIXED,
    MANY,
    NAMES,
    SINGLE,
    NothingToShow,
    label,
    looks,
    save,
)

FIGURES = {
    "dice_vs_budget", "metric_distributions", "time_vs_dice", "overlays",
    "training_curves", "lambda_warmup", "inverse_transform", "level_set_panel",
}  # fmt: skip
LATER_TABLES = ("published", "claims", "ranks", "agreement", "false_claims", "variance")


def make(results_folder, **changes):
    written = {
        key: changes.pop(key)
        for key in ("test_cases", "classes", "missing", "failures")
        if key in changes
    }
    declared = simulated.experiment(**changes)
    simulated.write_results(declared, results_folder, **written)
    collect(declared, results_folder)
    return declared


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    declared = make(
        folder, methods=["supervised", "dtc"], budgets=[4, 16],
        description="<script>alert(1)</script>",
        missing=(("dtc", "16", 2, 0),), test_cases=20,
    )  # fmt: skip
    simulated.write_store(declared, folder)
    return declared, folder, report(declared, folder)


class Page(HTMLParser):
    """Tags that must balance, the rows of tables, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.fetched, self.cell = [], [], [], False
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.fetched += [
            value
            for key, value in attrs
            if key in ("src", "href", "srcset") and not value.startswith("#")
        ]
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        self.cell = tag == "td"
        if self.cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.cell = False

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def test_the_page_is_one_file_that_fetches_nothing(whole):
    _, _, path = whole
    page = Page(path.read_text())
    assert page.fetched and all(
        value.startswith("data:image/png;base64,") for value in page.fetched
    )
    assert len(page.fetched) == len(FIGURES) + 15  # three cases have a stack of five slices
    for value in page.fetched:
        Image.open(io.BytesIO(base64.b64decode(value.split(",")[1]))).verify()
    assert not re.search(r"@import|url\(|https?://", path.read_text())
    assert path.stat().st_size < 10e6


def test_text_of_the_experiment_is_escaped(whole):
    text = whole[2].read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_the_main_table_says_what_the_summary_says(whole):
    declared, folder, path = whole
    summary = pd.read_csv(folder / declared.name / "tables" / "summary.csv", dtype={"budget": str})
    shown = {
        (row[0], row[1]): row
        for row in Page(path.read_text()).rows
        if len(row) == 10 and " of " in row[2]
    }
    assert len(shown) == len(summary) == 4
    for _, row in summary.iterrows():
        dice = (
            f"{row['dice'] * 100:.1f} [{row['dice_low'] * 100:.1f}, {row['dice_high'] * 100:.1f}]"
        )
        assert shown[row["method"], str(row["labeled"])][3] == dice
    assert shown["dtc", "16"][2] == "2 of 3" and shown["supervised", "4"][8] == "1 of 60"


def test_gaps_failures_and_rules_are_stated(whole):
    text = whole[2].read_text()
    assert "1 of 12 declared runs are missing" in text
    assert "Too few subsets or cases to tell from supervised: dtc" in text
    assert "Better than supervised: dtc" in text
    assert "Checkpoint: the last. Post-processing: none." in text
    assert "4 of 4 rows pass the Jensen check" in text
    assert "snakemake --cores all --configfile configs/experiments/simulated.yaml" in text
    assert "cropped with the help" not in text
    assert "Luo" in text and "AAAI 2021" in text


def test_what_is_concluded_has_its_sections_in_order(whole):
    text = whole[2].read_text()
    names = re.findall(r'<h2 id="(\w+)">', text)
    assert names[:5] == ["results", "comparisons", "ranks", "variance", "claims"]
    assert "published" not in names  # nothing is published of simulated data
    section = text[text.index('id="claims"') : text.index('id="costs"')]
    whole_claims, parts = section.split("<details>")
    assert len(re.findall(r"<td>\d</td>", whole_claims)) == 6
    assert "<td>2.1</td>" in parts and "<td>2.1</td>" not in whole_claims


def test_every_figure_is_there_as_vector_and_as_picture(whole):
    folder = whole[1] / "simulated" / "figures"
    assert (
        {path.stem for path in folder.glob("*.pdf")}
        == FIGURES
        == {path.stem for path in folder.glob("*.png")}
    )
    for path in folder.glob("*.pdf"):
        assert b"CreationDate" not in path.read_bytes()
        (sheet,) = PdfReader(path).pages
        assert round(float(sheet.mediabox.width) / 72, 3) in (SINGLE, DOUBLE), path.name
        fonts = [font.get_object() for font in sheet["/Resources"]["/Font"].values()]
        assert fonts
        for font in fonts:
            assert font["/Subtype"] == "/Type0", path.name  # no Type 3
            (descendant,) = font["/DescendantFonts"]
            assert "/FontFile2" in descendant.get_object()["/FontDescriptor"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2.5e6


def test_figures_and_page_are_the_same_bytes_again(whole):
    declared, folder, path = whole
    names = [path, *(path.parent / "figures").iterdir()]
    before = {name: name.read_bytes() for name in names}
    report(declared, folder)
    assert {name: name.read_bytes() for name in names} == before


def test_one_method_one_subset_and_absent_data_are_said(tmp_path):
    declared = make(tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2)
    folder = tmp_path / next(declared.runs()).folder
    (folder / "slices.npz").unlink()
    (folder / "history.csv").unlink()
    stale = tmp_path / "simulated" / "figures" / "overlays.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier report")
    for name in LATER_TABLES:
        (tmp_path / "simulated" / "tables" / f"{name}.csv").unlink()
    text = report(declared, tmp_path).read_text()
    Page(text)
    assert not {*LATER_TABLES} & set(re.findall(r'<h2 id="(\w+)">', text))
    for name in ("overlays", "training_curves", "lambda_warmup", "level_set_panel"):
        assert f"{name}: not run." in text
    assert not stale.exists()
    assert "No comparison" in text and "share one labeled subset" in text


def test_classes_and_the_oracle_crop_are_shown(tmp_path):
    declared = make(
        tmp_path, methods=["supervised", "dtc"], budgets=[4], subsets=2, test_cases=3,
        classes=("anterior", "posterior"),
        dataset={"name": "left_atrium", "importer": "left_atrium"},
    )  # fmt: skip
    text = report(declared, tmp_path).read_text()
    classes = [row[2] for row in Page(text).rows if len(row) == 11]
    assert classes[:3] == ["anterior", "posterior", "mean"]
    assert "cropped with the help of the reference label" in text
    published = text[text.index('id="published"') : text.index('id="costs"')]
    assert published.index("none can be compared") < published.index("<details>")
    assert "<td>DTC</td>" in published and "not comparable" in published
    found = Results(declared, tmp_path)
    assert not conclusions(found)["comparable"]
    found.published.loc[0, "verdict"] = "inside"
    assert conclusions(found)["comparable"]


def test_a_broken_store_is_an_error_and_no_missing_figure(tmp_path):
    declared = make(tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2)
    simulated.write_store(declared, tmp_path)
    next(tmp_path.glob("prepared/*/manifest.json")).write_text("{}")
    with pytest.raises(UserError, match=r"manifest\.json.*run 'prepare' again"):
        report(declared, tmp_path)


def test_without_tables_the_verb_to_run_is_named(tmp_path):
    with pytest.raises(UserError, match="run 'collect' first"):
        report(simulated.experiment(), tmp_path)


def test_reporting_needs_no_torch():
    code = (
        "import sys, ssl_methods.reporting.report, ssl_methods.analysis.collect\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- upper bounds, controls, many methods --------------------------------------------------------


def test_a_page_with_bounds_and_controls_sets_them_apart(tmp_path):
    declared = make(
        tmp_path, methods=["empty", "dtc", "supervised", "mean_shape", "supervised_all"],
        budgets=[4], subsets=1, test_cases=4,
    )  # fmt: skip
    text = report(declared, tmp_path).read_text()
    rows = [row for row in Page(text).rows if row]
    order = ["supervised_all", "dtc", "supervised", "empty", "mean_shape"]
    assert [row[0] for row in rows[:5]] == order and rows[0][1] == "all"
    classes = re.findall(r"<tr( class=.*?)?><td>(\w+)</td>", text)[:5]
    assert [name for style, name in classes if "apart" in style] == [order[0], *order[3:]]
    assert [name for style, name in classes if "starts" in style] == ["dtc", "empty"]
    costs = text[text.index('id="costs"') : text.index('id="audits"')]
    assert "<td>supervised_all</td>" in costs and "<td>empty</td>" not in costs
    failures = text[text.index('id="gaps"') : text.index('id="methods"')]
    assert "controls aside: 1." in failures and "<td>empty</td>" not in failures
    assert "2, 1 bound, 2 controls" in text


def test_a_bound_is_not_the_highest_and_a_control_not_beaten_is_named():
    rows = [("top", "bound", 0.9), ("good", "method", 0.8), ("bad", "method", 0.3)]
    summary = pd.DataFrame(
        [*rows, ("shape", "control", 0.4)], columns=["method", "role", "dice"]
    ).assign(budget="4", labeled=4, **{"class": "1"})
    experiment, none = simulated.experiment(), pd.DataFrame(columns=COMPARISON_COLUMNS)
    found = SimpleNamespace(summary=summary, comparisons=none, experiment=experiment)
    (line,) = reading(found)
    assert "highest mean Dice 80.0 %, good." in line
    assert "Upper bound top: 90.0 %." in line
    assert line.endswith("Control shape: 40.0 %. Not above it: bad.")


def test_of_many_methods_the_reading_counts_what_it_does_not_name():
    names = [f"m{i}" for i in range(12)]
    assert listed(names[:8], 12) == ", ".join(names[:8])
    assert (listed(names[:9], 12), listed(names, 12)) == ("9 of 12", "all 12")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Every method at one budget."""
    folder = tmp_path_factory.mktemp("results")
    declared = make(
        folder, methods=simulated.MANY, budgets=[4], subsets=1, test_cases=3, failures=False,
    )  # fmt: skip
    return declared, folder, Results(declared, folder)


def names_on(axis):
    return [tick.get_text() for tick in axis.get_yticklabels()]


def test_of_many_methods_each_has_a_row_of_its_own(crowd):
    _, _, found = crowd
    methods = simulated.MANY
    expected = [label(methods[1]), label(methods[0]), *map(label, methods[2:])]
    dice = results.dice_vs_budget(found.summary, found.runs, "supervised")
    boxes = results.metric_distributions(found.cases)
    for figure in (dice, boxes):
        assert names_on(figure.axes[0]) == expected and not figure.legends
        places = figure.axes[0].get_yticks()
        assert np.diff(places).min() >= 1 and list(np.flatnonzero(np.diff(places) > 1)) == [0, 23]
    means = found.summary.set_index("method")["dice"] * 100
    drawn = {
        round(float(line.get_xdata()[0]), 6)
        for line in dice.axes[0].lines
        if len(line.get_xdata()) == 1 and line.get_marker() != "."
    }
    assert {round(value, 6) for value in means} <= drawn


def test_a_figure_grows_with_the_number_of_methods(crowd):
    _, _, found = crowd
    few = found.summary["method"].isin(simulated.MANY[: MANY + 1])
    heights = [
        results.dice_vs_budget(summary, found.runs).get_figheight()
        for summary in (found.summary[few], found.summary)
    ]
    assert heights[0] + 2 < heights[1] < 10


def test_controls_do_not_squeeze_the_axis_and_are_written_at_its_edge(crowd):
    _, _, found = crowd
    axis = results.dice_vs_budget(found.summary, found.runs).axes[0]
    assert axis.get_xlim()[0] > 40
    assert [text.get_text() for text in axis.texts] == ["◂ 0.0"]


def test_every_trained_method_is_named_beside_its_point(crowd):
    _, _, found = crowd
    (axis,) = results.time_vs_dice(found.summary).axes
    trained = [m for m in simulated.MANY if simulated.ROLES.get(m) != "control"]
    assert sorted(text.get_text() for text in axis.texts) == sorted(map(label, trained))


def test_every_trained_method_has_a_panel_of_its_own_curves(crowd):
    _, _, found = crowd
    axes = training.training_curves(found.history()).axes
    titles = [axis.get_title() for axis in axes]
    assert len(titles) == len(set(titles)) == len(simulated.MANY) - 2
    assert [len(axis.lines) for axis in axes[:3]] == [3, 3, 4]
    lines = training.lambda_warmup(found.history()).axes[0].lines
    assert "used: Mean teacher" in {line.get_label() for line in lines}


def test_the_page_of_many_methods_folds_what_is_long(crowd):
    declared, folder, _ = crowd
    path = report(declared, folder)
    text = path.read_text()
    Page(text)
    figures = {file.stem for file in (folder / "simulated" / "figures").glob("*.png")}
    assert figures == FIGURES - {"level_set_panel"} | {"overlays_others"}
    assert "<details><summary>The same test cases for the other methods.</summary>" in text
    assert "for the first 6 methods" in text and path.stat().st_size < 10e6


# ---- what figures draw ---------------------------------------------------------------------------


def test_dice_figure_draws_the_means_and_a_dot_per_run(whole):
    folder = whole[1] / "simulated" / "tables"
    summary = pd.read_csv(folder / "summary.csv", dtype={"budget": str, "class": str})
    runs = pd.read_csv(folder / "runs.csv", dtype={"budget": str, "class": str})
    axis = results.dice_vs_budget(summary, runs).axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    expected = summary[summary["method"] == "dtc"].sort_values("labeled")["dice"] * 100
    assert np.allclose(lines["DTC"].get_ydata(), expected)
    dots = [line for line in axis.lines if line.get_marker() == "."]
    assert sorted(len(line.get_xdata()) for line in dots) == [5, 6]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["4", "16"]


def test_used_weights_lie_on_the_formula():
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=1)
    history = pd.concat(
        simulated.history(run).assign(method=run.name, budget="4", labeled=4, subset=0, seed=0)
        for run in declared.runs()
    )
    axis = training.lambda_warmup(history).axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {"released: 40 steps", "exp(-5 (1 - t/t_max)²)", "used: DTC"}
    t, weight = lines["used: DTC"].get_data()
    assert np.allclose(weight, np.exp(-5 * (1 - np.asarray(t) / 600) ** 2), rtol=1e-4)


def test_weights_that_do_not_change_are_no_ramp():
    history = pd.DataFrame({
        "method": "supervised", "budget": "4", "labeled": 4, "subset": 0, "seed": 0,
        "iteration": [10, 20], "loss": [1.0, 0.5], "dice": [1.0, 0.5], "weight_dice": [0.5, 0.5],
    })  # fmt: skip
    with pytest.raises(NothingToShow, match="no run has a term whose weight changes"):
        training.lambda_warmup(history)
    labels = [axis.get_ylabel() for axis in training.training_curves(history).axes]
    assert labels == ["loss", "dice loss"]


def test_inverse_curves_are_the_logistic_function():
    axis = level_sets.inverse_transform().axes[0]
    for line, k in zip(axis.lines, (1, 10, 100, 1500), strict=True):
        z, value = (np.asarray(data, float) for data in line.get_data())
        with np.errstate(over="ignore"):
            assert np.allclose(value, 1 / (1 + np.exp(k * z)))


def test_one_voxel_is_a_step_of_the_normalised_distance():
    x, y, z = np.mgrid[-10:11, -10:11, -10:11]
    ball = x**2 + y**2 + z**2 <= 36
    inside, outside = level_sets.one_voxel(ball)
    assert outside == pytest.approx(1 / distance_transform_edt(~ball).max(), rel=1e-5)
    assert -0.5 < inside < 0


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 8)])
def test_level_set_panel_in_two_and_three_dimensions(shape):
    label = np.zeros(shape, np.uint8)
    label[3:8, 3:7] = 1
    figure = level_sets.level_set_panel(label + 0.5, label)
    drawn = figure.axes[2].images[0].get_array()
    assert (drawn.shape == (10, 12) and drawn.min() == -1) or drawn.max() <= 1


def test_best_median_worst_are_ranked_and_never_twice():
    dice = pd.Series({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6})
    assert best_median_worst(dice) == {"best": "a", "median": "c", "worst": "b"}
    assert best_median_worst(dice[["a", "b"]]) == {"best": "a", "median": "b"}
    assert best_median_worst(dice[["a"]]) == {"best": "a"}


def test_looks_are_fixed_for_known_methods_and_distinct_for_all():
    names = ["zeta", "dtc", "supervised", "alpha", *(f"m{i}" for i in range(20))]
    chosen = looks(names)
    assert chosen["dtc"] == FIXED["dtc"] and len(set(chosen.values())) == len(names)
    assert looks(reversed(names)) == chosen
    assert set(simulated.MANY) == set(FIXED) == set(NAMES)
    assert len(set(FIXED.values())) == len(set(NAMES.values())) == len(FIXED)


def test_settings_that_differ_are_not_averaged():
    table = tables.common([{"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1, 2]}])
    assert table.rows == [["a.b", "2 different values"], ["c", "[1, 2]"]]
    assert tables.side_by_side({"x": {"k": 1}, "y": {}}).rows[0] == ["k", "1", UNKNOWN]


def test_a_row_that_fails_jensen_is_named():
    summary = pd.DataFrame({"method": ["a", "b"], "budget": ["4", "4"], "jensen_ok": [True, False]})
    assert jensen(summary).startswith("1 of 2 rows pass") and jensen(summary).endswith(
        "Not: b at 4."
    )


def test_methods_of_other_packages_have_a_description_too():
    assert "another package" in description("not_in_this_package")[0]


def test_a_figure_is_saved_small_and_at_300_dpi(tmp_path):
    save(level_sets.inverse_transform(), tmp_path, "it")
    picture = Image.open(tmp_path / "it.png")
    assert picture.info["dpi"][0] == pytest.approx(300, abs=1)
    assert picture.size[0] == 2160 and (tmp_path / "it.png").stat().st_size < 150_000


@pytest.mark.parametrize("methods", [3, len(simulated.MANY)])
def test_thousands_of_dots_are_one_picture_per_panel(tmp_path, crowd, methods):
    cases = crowd[2].cases
    cases = cases[cases["method"].isin(cases["method"].unique()[:methods])]
    for times, pictures in ((1, 0), (3000 * methods // len(cases) + 1, 1)):
        figure = results.metric_distributions(pd.concat([cases] * times))
        figure.savefig(tmp_path / "dots.pdf", dpi=20)
        drawn = (tmp_path / "dots.pdf").read_bytes().count(b"/Subtype /Image")
        panels = len(figure.axes)
        assert pictures * panels <= drawn <= 2 * pictures * panels  # 2: transparency is one more
