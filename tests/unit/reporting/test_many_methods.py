"""The page and its figures with upper bounds, controls and every method there is."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support import simulated
from support.page import FIGURES, Page

from ssl_methods.analysis.comparisons import COMPARISON_COLUMNS
from ssl_methods.analysis.names import label
from ssl_methods.reporting.figures.dice_vs_budget import dice_vs_budget
from ssl_methods.reporting.figures.lambda_warmup import lambda_warmup
from ssl_methods.reporting.figures.metric_distributions import metric_distributions
from ssl_methods.reporting.figures.time_vs_dice import time_vs_dice
from ssl_methods.reporting.figures.training_curves import training_curves
from ssl_methods.reporting.report import listed, reading, report
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import MANY

pytestmark = pytest.mark.system  # whole reports


def test_a_page_with_bounds_and_controls_sets_them_apart(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["empty", "dtc", "supervised", "mean_shape", "supervised_all"],
        budgets=[4], subsets=1, test_cases=4,
    )  # fmt: skip
    text = report(declared, tmp_path).read_text()
    rows = [row for row in Page(text).rows if row]
    order = ["Supervised (all labels)", "DTC", "Supervised", "Empty", "Mean shape"]
    assert [row[0] for row in rows[:5]] == order and rows[0][1] == "all"
    classes = re.findall(r"<tr( class=.*?)?><td>([\w ()]+)</td>", text)[:5]
    assert [name for style, name in classes if "apart" in style] == [order[0], *order[3:]]
    assert [name for style, name in classes if "starts" in style] == ["DTC", "Empty"]
    costs = text[text.index('id="costs"') : text.index('id="figures"')]
    assert "<td>Supervised (all labels)</td>" in costs and "<td>Empty</td>" not in costs
    failures = text[text.index('id="gaps"') : text.index('id="methods"')]
    assert "controls aside: 1 of 12 measurements" in failures and "<td>Empty</td>" not in failures
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
    declared = simulated.collected(
        folder, methods=simulated.MANY, budgets=[4], subsets=1, test_cases=3, failures=False,
    )  # fmt: skip
    return declared, folder, Results(declared, folder)


def names_on(axis):
    return [tick.get_text() for tick in axis.get_yticklabels()]


def test_of_many_methods_each_has_a_row_of_its_own(crowd):
    _, _, found = crowd
    methods = simulated.MANY
    expected = [label(methods[1]), label(methods[0]), *map(label, methods[2:])]
    dice = dice_vs_budget(found.summary, found.runs, "supervised")
    boxes = metric_distributions(found.cases)
    for figure in (dice, boxes):
        assert names_on(figure.axes[0]) == expected and not figure.legends
        places, last = figure.axes[0].get_yticks(), len(methods) - 3  # before the controls
        assert np.diff(places).min() >= 1 and list(np.flatnonzero(np.diff(places) > 1)) == [0, last]
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
        dice_vs_budget(summary, found.runs).get_figheight()
        for summary in (found.summary[few], found.summary)
    ]
    assert heights[0] + 2 < heights[1] < 10


def test_controls_do_not_squeeze_the_axis_and_are_written_at_its_edge(crowd):
    _, _, found = crowd
    axis = dice_vs_budget(found.summary, found.runs).axes[0]
    assert axis.get_xlim()[0] > 40
    assert [text.get_text() for text in axis.texts] == ["◂ 0.0"]


def test_every_trained_method_is_named_beside_its_point(crowd):
    _, _, found = crowd
    (axis,) = time_vs_dice(found.summary).axes
    trained = [m for m in simulated.MANY if simulated.ROLES.get(m) != "control"]
    assert sorted(text.get_text() for text in axis.texts) == sorted(map(label, trained))


def test_every_trained_method_has_a_panel_of_its_own_curves(crowd):
    _, _, found = crowd
    axes = training_curves(found.history).axes
    titles = [axis.get_title() for axis in axes]
    assert len(titles) == len(set(titles)) == len(simulated.MANY) - 2
    assert [len(axis.lines) for axis in axes[:3]] == [3, 3, 4]
    lines = lambda_warmup(found.history).axes[0].lines
    assert "used: Mean teacher" in {line.get_label() for line in lines}


def test_the_page_of_many_methods_folds_what_is_long(crowd):
    declared, folder, _ = crowd
    path = report(declared, folder)
    text = path.read_text()
    Page(text)
    figures = {file.stem for file in (folder / "simulated" / "figures").glob("*.png")}
    assert figures >= FIGURES - {"level_set_panel"} | {"overlays_others"}
    assert "level_set_panel" not in figures
    assert "<details><summary>The same test cases for the other methods.</summary>" in text
    assert "for the first 6 methods" in text and path.stat().st_size < 10e6


@pytest.mark.parametrize("methods", [3, len(simulated.MANY)])
def test_thousands_of_dots_are_one_picture_per_panel(tmp_path, crowd, methods):
    cases = crowd[2].cases
    cases = cases[cases["method"].isin(cases["method"].unique()[:methods])]
    for times, pictures in ((1, 0), (3000 * methods // len(cases) + 1, 1)):
        figure = metric_distributions(pd.concat([cases] * times))
        figure.savefig(tmp_path / "dots.pdf", dpi=20)
        drawn = (tmp_path / "dots.pdf").read_bytes().count(b"/Subtype /Image")
        panels = len(figure.axes)
        assert pictures * panels <= drawn <= 2 * pictures * panels  # 2: transparency is one more
