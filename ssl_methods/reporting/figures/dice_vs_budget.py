"""Mean Dice against the number of labeled cases; of many methods a row for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_methods.analysis.names import label
from ssl_methods.analysis.tables import MEAN_CLASS, roles
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import DASHES, looks, methods_of
from ssl_methods.reporting.panels import (
    APART,
    ROW,
    budgets,
    columns_of,
    grid,
    keep_in_view,
    labeled_text,
    list_methods,
    rows_of,
    say_what_is_beyond,
    top_legend,
)
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, MANY, SINGLE, column_width
from ssl_methods.shown import one_line


class DiceVsBudget(Drawing):
    place = 10
    section = "results"

    def caption_for(self, found: Results) -> str:
        if found.many:
            return (
                "Mean Dice of every method. Bars: 95 % intervals over labeled subsets and test "
                "cases. Small dots: single runs. Thin line: the mean of "
                f"{label(found.experiment.baseline)}. "
                "An arrow with a number: a mean beyond the axis."
            )
        return (
            "Mean Dice against the number of labeled cases. Bars and bands: 95 % intervals over "
            "labeled subsets and test cases. Small dots: single runs. Methods are set side by "
            "side so that they do not hide one another."
        )

    def draw(self, found: Results) -> Figure:
        return dice_vs_budget(found.summary, found.runs, found.experiment.baseline)


NO_DICE = "no run has a case with any class"
NAMES_WIDTH = 1.6  # inches


def dice_vs_budget(summary: pd.DataFrame, runs: pd.DataFrame, baseline: str = "") -> Figure:
    """Mean Dice over labeled cases, with 95 % intervals and a dot per run (DTC paper, Fig. 4).

    One panel per class, and one for their mean. Of many methods each has a row, and each budget a
    panel. Controls may lie beyond the axis, which then says so.
    """
    summary, runs = summary.dropna(subset=["dice"]), runs[runs["status"] == "done"]
    if summary.empty:
        raise NothingToShow(NO_DICE)
    if summary["method"].nunique() > MANY:
        return dice_rows(summary, runs, baseline)
    classes = list(summary["class"].unique())
    columns = columns_of(len(classes))
    size = (SINGLE, 3.1) if columns == 1 else (DOUBLE, 2.5 * -(-len(classes) // columns))
    figure = Figure(figsize=size)
    for axis, klass in zip(grid(figure, len(classes), columns, sharex=True), classes, strict=True):
        _dice_panel(axis, summary[summary["class"] == klass], runs[runs["class"] == klass])
        if len(classes) > 1:
            axis.set_title(
                "mean over classes" if klass == MEAN_CLASS else f"class {one_line(klass)}"
            )
    figure.supxlabel("labeled cases", fontsize=8)
    figure.supylabel("Dice (%)", fontsize=8)
    top_legend(figure)
    return figure


def _dice_panel(axis: Axes, summary: pd.DataFrame, runs: pd.DataFrame) -> None:
    kinds, texts = methods_of(summary), budgets(summary)
    style = looks(kinds)
    place = {budget: i for i, budget in enumerate(texts)}
    for (method, look), shift in zip(style.items(), _side_by_side(len(style)), strict=True):
        own = (
            summary[summary["method"] == method]
            .assign(x=lambda frame: frame["budget"].map(place))
            .sort_values("x")
        )
        x, mean = own["x"].to_numpy() + shift, own["dice"].to_numpy() * 100
        low, high = own["dice_low"].to_numpy() * 100, own["dice_high"].to_numpy() * 100
        axis.fill_between(x, low, high, color=look.colour, alpha=0.09, linewidth=0)
        axis.errorbar(
            x,
            mean,
            [mean - low, high - mean],
            fmt="none",
            ecolor=look.colour,
            elinewidth=0.8,
            capsize=1.8,
            alpha=0.8,
        )
        axis.plot(
            x,
            mean,
            color=look.colour,
            marker=look.marker,
            linestyle=DASHES[kinds[method]],
            label=label(method),
            zorder=3,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
        dots = runs[runs["method"] == method]
        axis.plot(
            dots["budget"].map(place) + shift,
            dots["dice"] * 100,
            ".",
            color=look.colour,
            markersize=3,
            alpha=0.55,
            zorder=2,
        )
    axis.set_xticks(range(len(texts)), list(texts.values()))
    axis.set_xlim(-0.4, len(texts) - 0.6)
    axis.grid(visible=False, axis="x")
    if "control" in kinds.values():
        _leave_controls_out_of_view(axis, summary, runs)


def _leave_controls_out_of_view(axis: Axes, summary: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Limits from what is compared; which controls lie below is written at the foot."""
    shown, dots = summary[roles(summary) != "control"], runs[roles(runs) != "control"]
    spans = [shown[name].to_numpy(float) for name in ("dice", "dice_low", "dice_high")]
    keep_in_view(axis, "y", [100 * part for part in (*spans, dots["dice"].to_numpy(float))])
    controls = summary[roles(summary) == "control"].groupby("method", sort=False)["dice"].max()
    below = [label(str(name)) for name, dice in controls.items() if dice * 100 < axis.get_ylim()[0]]
    if below:
        low, high = axis.get_ylim()
        axis.set_ylim(low - 0.09 * (high - low), high)  # room for the words
        text = f"below: {', '.join(below)}"
        axis.text(0.02, 0.02, text, transform=axis.transAxes, fontsize=7, color=APART)


def _side_by_side(n: int, width: float = 0.09) -> list[float]:
    """Shifts that keep n methods apart at one budget."""
    return [(i - (n - 1) / 2) * min(width, 0.6 / n) for i in range(n)]


def dice_rows(summary: pd.DataFrame, runs: pd.DataFrame, baseline: str) -> Figure:
    """Mean Dice, its 95 % interval and a dot per run: a panel for each budget (and class).

    A thin line stands at the mean of the baseline. Controls beyond what the others span are given
    as numbers at the edge.
    """
    texts, classes = budgets(summary), list(summary["class"].unique())
    tall = ROW * (max(rows_of(summary).values()) + 1)
    width = column_width(NAMES_WIDTH + 2.4 * len(texts))
    figure = Figure(figsize=(width, 0.35 + (tall + 0.35) * len(classes)))
    axes = figure.subplots(len(classes), len(texts), sharex="row", sharey=True, squeeze=False)
    for row, klass in zip(axes, classes, strict=True):
        for axis, (budget, text) in zip(row, texts.items(), strict=True):
            own = summary[(summary["budget"] == budget) & (summary["class"] == klass)]
            dots = runs[(runs["budget"] == budget) & (runs["class"] == klass)]
            _row_panel(axis, own, dots, summary, baseline)
            axis.set_title(_title(text, klass if len(classes) > 1 else ""))
        shown = summary[(summary["class"] == klass) & (roles(summary) != "control")]
        of_runs = runs[(runs["class"] == klass) & (roles(runs) != "control")]["dice"]
        spans = [shown[name].to_numpy(float) for name in ("dice", "dice_low", "dice_high")]
        keep_in_view(row[0], "x", [100 * part for part in (*spans, of_runs.to_numpy(float))])
        for axis, budget in zip(row, texts, strict=True):
            own = summary[(summary["budget"] == budget) & (summary["class"] == klass)]
            say_what_is_beyond(axis, own.set_index("method")["dice"] * 100, rows_of(summary))
    for axis in axes[-1]:
        axis.set_xlabel("Dice (%)")
    return figure


def _title(text: str, klass: str) -> str:
    of_class = {"": "", MEAN_CLASS: ", mean over classes"}.get(klass, f", class {one_line(klass)}")
    return labeled_text(text) + of_class


def _row_panel(
    axis: Axes, own: pd.DataFrame, dots: pd.DataFrame, summary: pd.DataFrame, baseline: str
) -> None:
    list_methods(axis, summary)
    places, style, kinds = rows_of(summary), looks(summary["method"]), methods_of(summary)
    for _, row in own.iterrows():
        y, look = places[row["method"]], style[row["method"]]
        muted = 0.6 if kinds[row["method"]] == "control" else 1.0
        if row["method"] == baseline:
            axis.axvline(row["dice"] * 100, color=look.colour, linewidth=0.7, zorder=1)
        axis.plot(
            [row["dice_low"] * 100, row["dice_high"] * 100], [y, y],
            color=look.colour, linewidth=1.3, alpha=0.75 * muted, solid_capstyle="butt",
        )  # fmt: skip
        values = dots.loc[dots["method"] == row["method"], "dice"] * 100
        axis.plot(
            values, np.full(len(values), y + 0.22), ".",
            color=look.colour, markersize=2.6, alpha=0.55, markeredgewidth=0,
        )  # fmt: skip
        axis.plot(
            row["dice"] * 100, y, marker=look.marker, color=look.colour, alpha=muted,
            markersize=5, markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
