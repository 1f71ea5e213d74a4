"""No empty panel for any number of classes; fonts for what the usual one lacks."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from pypdf import PdfReader
from support import simulated

from ssl_methods.reporting import fonts
from ssl_methods.reporting.figures.dice_vs_budget import dice_rows, dice_vs_budget
from ssl_methods.reporting.figures.level_set_panel import level_set_panel
from ssl_methods.reporting.figures.metric_distributions import (
    distribution_rows,
    metric_distributions,
)
from ssl_methods.reporting.figures.time_vs_dice import time_vs_dice
from ssl_methods.reporting.figures.training_curves import training_curves
from ssl_methods.reporting.style import RC, save

pytestmark = pytest.mark.system  # whole reports


def measured(classes: int, methods=("supervised", "dtc"), budgets=("4", "16")) -> pd.DataFrame:
    """A summary of random means."""
    random, rows = np.random.default_rng(0), []
    for budget in budgets:
        for method in methods:
            for klass in [*map(str, range(classes)), *["mean"] * (classes > 1)]:
                dice = random.uniform(0.5, 0.9)
                rows.append({
                    "method": method, "role": "method", "budget": budget, "labeled": int(budget),
                    "class": klass, "dice": dice, "dice_low": dice - 0.1, "dice_high": dice + 0.1,
                    "subset": 0, "seed": 0, "status": "done", "train_seconds": 50.0,
                })  # fmt: skip
    return pd.DataFrame(rows)


def panels(figure: Figure) -> list:
    """The axes of a figure; none of them may be empty."""
    with mpl.rc_context(RC):
        figure.draw_without_rendering()
    for axis in figure.axes:
        assert axis.has_data() or axis.get_label() == "<colorbar>"
    return figure.axes


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_panel_for_each_class_and_none_besides(classes):
    table = measured(classes)
    with mpl.rc_context(RC):
        axes = panels(dice_vs_budget(table, table))
    assert len(axes) == (classes + 1 if classes > 1 else 1)
    boxes = [axis.get_position() for axis in axes]
    for axis, box in zip(axes, boxes, strict=True):
        below = [other for other in boxes if other.y1 < box.y0 and abs(other.x0 - box.x0) < 0.02]
        labelled = any(text.get_visible() and text.get_text() for text in axis.get_xticklabels())
        assert labelled == (not below)  # who has nothing below it says the budgets itself
    legend = figure_legend(axes).get_window_extent()
    assert not any(axis.get_window_extent().overlaps(legend) for axis in axes)


def figure_legend(axes):
    (legend,) = axes[0].figure.legends
    return legend


@pytest.mark.parametrize("methods", [9, 10, 11, 13])
def test_a_panel_for_each_of_many_methods(methods):
    declared = simulated.experiment(methods=simulated.MANY[:methods], budgets=[4], subsets=1)
    history = pd.concat(
        simulated.history(run).assign(method=run.name, budget="4", labeled=4, subset=0, seed=0)
        for run in declared.runs()
    )
    axes = panels(training_curves(history))
    assert len(axes) == history["method"].nunique()


def test_a_term_that_no_run_of_a_budget_has_leaves_no_panel():
    """Runs of dtc are missing at the larger budget: its terms have one panel each."""
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4, 16], subsets=1)
    history = pd.concat(
        simulated.history(run).assign(
            method=run.name, budget=str(run.budget), labeled=run.budget, subset=0, seed=0
        )
        for run in declared.runs()
        if (run.name, run.budget) != ("dtc", 16)
    )
    for reverse in (False, True):
        if reverse:  # now the first column lacks them
            history["labeled"] = 20 - history["labeled"]
        axes = panels(training_curves(history))
        named = [axis.get_ylabel() for axis in axes if axis.get_ylabel()]
        assert named == ["loss", "cross entropy loss", "dice loss", "level set loss",
                         "consistency loss"]  # fmt: skip
        assert len(axes) == 3 * 2 + 2
        assert sorted(axis.get_title() for axis in axes if axis.get_title())[0][0] in "14"


def test_rows_of_many_methods_and_other_figures_have_no_empty_panel():
    table = measured(3, methods=simulated.MANY[:10])
    panels(dice_rows(table, table, "supervised"))
    cases = table.assign(case="a", jaccard=table["dice"], asd_voxel=2.0, hd95_voxel=9.0)
    panels(distribution_rows(cases[cases["class"] == "mean"]))
    cases.loc[cases["budget"] == "16", "asd_voxel"] = np.nan
    few = cases[cases["method"].isin(["supervised", "dtc"])]
    assert len(panels(metric_distributions(few))) == 7
    panels(time_vs_dice(few))
    label = np.zeros((12, 10, 8), np.uint8)
    label[3:8, 3:7, 2:5] = 1
    assert len(panels(level_set_panel(label + 0.5, label))) == 6


# ---- fonts ---------------------------------------------------------------------------------------


def made_up(path, family: str, characters: str) -> str:
    """A TrueType font whose glyphs are squares, registered under a name."""
    names = [".notdef", *(f"u{ord(c):06X}" for c in characters)]
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (800, 700), (800, 0)):
        pen.lineTo(point)
    pen.closePath()
    glyph = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):06X}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    font_manager.fontManager.addfont(path)
    return family


@pytest.fixture
def installed(tmp_path):
    """Made-up fonts beside those of this machine, for one test."""
    before = list(font_manager.fontManager.ttflist)
    for cached in (fonts.families, fonts.glyphs, fonts._is_truetype):
        cached.cache_clear()
    yield lambda family, characters: made_up(tmp_path / f"{family}.ttf", family, characters)
    font_manager.fontManager.ttflist[:] = before
    for cached in (fonts.families, fonts.glyphs, fonts._is_truetype):
        cached.cache_clear()


ODD = "\U0010ff01\U0010ff02\U0010ff03"  # for private use: no font of this machine has them


def test_a_font_that_has_the_characters_is_used(installed, tmp_path, recwarn):
    installed("SomeSans", ODD[:2])
    installed("OtherSerif", ODD[:1])
    figure = Figure()
    axis = figure.subplots()
    axis.set_title(f"class {ODD[:2]}")
    axis.set_xticks([0], ["plain"])
    assert save(figure, tmp_path, "it") == ""
    assert axis.title.get_fontfamily() == ["DejaVu Sans", "SomeSans"]
    (sheet,) = PdfReader(tmp_path / "it.pdf").pages
    embedded = [font.get_object()["/BaseFont"] for font in sheet["/Resources"]["/Font"].values()]
    assert any("SomeSans" in name for name in embedded), embedded
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_what_no_font_has_is_returned_and_floods_nothing(tmp_path, recwarn, caplog):
    figure = Figure()
    axes = figure.subplots(3, 3)
    for axis in axes.flat:
        axis.set_title(f"{ODD[2]}{ODD[1]} liver \U0001f600")
    lacks = save(figure, tmp_path, "it")
    assert set(lacks) >= {ODD[1], ODD[2]} and not set(lacks) & set("liver ")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    assert caplog.text.count("Glyph") == 0


def test_the_fewest_fonts_are_taken_and_unseen_characters_are_not_missed(installed):
    installed("ASans", ODD[:1])
    installed("BSans", ODD)
    assert fonts.families(ODD + "abc") == ("BSans",)
    assert fonts.families("plain") == ()
    assert fonts.lacking("a\u200d\ufe0f b\n", ("DejaVu Sans",)) == set()


def test_names_in_many_scripts_make_a_report(tmp_path):
    classes = ("\u809d\u810f", "\u0643\u0628\u062f", "\u05db\u05d1\u05d3", "tumour \U0001f9e0")
    declared = simulated.collected(
        tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2, classes=classes
    )
    from ssl_methods.reporting.report import report

    text = report(declared, tmp_path).read_text(encoding="utf-8")
    assert all(name in text for name in classes)
    if "\u809d" not in fonts.glyphs("DejaVu Sans") and not fonts.families("\u809d"):
        assert "No installed font draws" in text and "\u809d" in text.split("figures show")[0]
