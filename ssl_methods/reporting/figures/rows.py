"""The same results when there are too many methods to draw over one another: a row for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ssl_methods.analysis.tables import MEAN_CLASS, one_line, roles
from ssl_methods.measures import compared
from ssl_methods.reporting.style import (
    APART,
    DOTS,
    DOUBLE,
    budgets,
    column_width,
    dots_as_picture,
    keep_in_view,
    label,
    labeled_text,
    list_methods,
    looks,
    methods_of,
    rows_of,
)

ROW = 0.17  # inches
NAMES_WIDTH = 1.6


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
            _dice_panel(axis, own, dots, summary, baseline)
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


def _dice_panel(
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


def say_what_is_beyond(axis: Axes, values: pd.Series, places: dict[str, float]) -> None:
    """A number with an arrow at the edge for each value outside the limits."""
    low, high = axis.get_xlim()
    for method, value in values.items():
        if low <= value <= high or not np.isfinite(value):
            continue
        below = value < low
        axis.annotate(
            f"◂ {value:.1f}" if below else f"{value:.1f} ▸",
            (0.0 if below else 1.0, places[str(method)]),
            xycoords=axis.get_yaxis_transform(),
            xytext=(2 if below else -2, 0), textcoords="offset points",
            ha="left" if below else "right", va="center", fontsize=6.5, color=APART,
        )  # fmt: skip


def distribution_rows(cases: pd.DataFrame) -> Figure:
    """Every measurement behind the means: columns are metrics, a block of rows for each budget."""
    texts, metrics = budgets(cases), compared(cases)
    tall = ROW * (max(rows_of(cases).values()) + 1)
    figure = Figure(figsize=(DOUBLE, 0.2 + (tall + 0.5) * len(texts)))
    axes = figure.subplots(len(texts), len(metrics), sharex="col", sharey=True, squeeze=False)
    for row, (budget, text) in zip(axes, texts.items(), strict=True):
        own = cases[cases["budget"] == budget]
        for axis, (metric, measure) in zip(row, metrics.items(), strict=True):
            list_methods(axis, cases)
            _boxes(axis, own, cases, metric, measure.scale)
            axis.set_title(measure.axis)
        row[0].set_ylabel(labeled_text(text))
    shown = cases[roles(cases) != "control"]
    for column, (metric, measure) in zip(axes.T, metrics.items(), strict=True):
        if measure.has_no_end:
            column[0].set_xscale("symlog", linthresh=1)
            column[0].set_xticks([0, 1, 3, 10, 30, 100, 300], minor=False)
            column[0].xaxis.set_major_formatter("{x:g}")
        keep_in_view(column[0], "x", [shown[metric].to_numpy(float) * measure.scale])
        for axis, budget in zip(column, texts, strict=True):
            axis.tick_params(axis="x", labelbottom=True)
            own = cases[cases["budget"] == budget]
            medians = own.groupby("method", sort=False)[metric].median() * measure.scale
            say_what_is_beyond(axis, medians, rows_of(cases))
    return figure


def _boxes(axis: Axes, own: pd.DataFrame, cases: pd.DataFrame, metric: str, scale: float) -> None:
    places, style = rows_of(cases), looks(cases["method"])
    random = np.random.default_rng(0)
    dots_as_picture(axis, len(own))
    for method, group in own.groupby("method", sort=False):
        values: NDArray = group[metric].dropna().to_numpy(float) * scale
        y, colour = places[str(method)], style[str(method)].colour
        if not len(values):
            continue
        axis.plot(
            values, y + random.uniform(-0.3, 0.3, len(values)), ".",
            color=colour, markersize=2, alpha=0.35, markeredgewidth=0, zorder=DOTS,
        )  # fmt: skip
        low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
        axis.plot([low, high], [y, y], color=colour, linewidth=0.8, solid_capstyle="butt")
        axis.barh(
            y, third - first, 0.62, first, color="white", edgecolor=colour, linewidth=0.8, zorder=3
        )
        axis.plot([median, median], [y - 0.31, y + 0.31], color=colour, linewidth=1.8, zorder=4)


def time_rows(summary: pd.DataFrame, size: float, unit: str) -> Figure:
    """Mean Dice over training time: a panel per budget, each point named at the right.

    Names stand in the order of their points from top to bottom, joined by a thin line.
    """
    texts, style = budgets(summary), looks(summary["method"])
    tall = max(2.7, 0.135 * len(style) + 0.5)
    figure = Figure(figsize=(DOUBLE, 0.3 + tall * len(texts)))
    axes = figure.subplots(len(texts), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (budget, text) in zip(axes, texts.items(), strict=True):
        own = summary[summary["budget"] == budget].sort_values("dice", kind="stable")
        axis.set_title(labeled_text(text))
        axis.set_ylabel("Dice (%)")
        points = [
            (row["method"], row["train_seconds"] / size, row["dice"] * 100)
            for _, row in own.iterrows()
        ]
        for method, x, y in points:
            look = style[method]
            axis.plot(
                x, y, linestyle="none", marker=look.marker, color=look.colour, markersize=6,
                markeredgecolor="white", markeredgewidth=0.5, zorder=3,
            )  # fmt: skip
        axis.set_xlim(left=0)
        axis.margins(y=0.08)
        for place, (method, x, y) in enumerate(points):
            axis.annotate(
                label(method), (x, y),
                xytext=(1.06, (place + 0.5) / len(points)), textcoords="axes fraction",
                va="center", fontsize=7, color=style[method].colour,
                arrowprops={
                    "arrowstyle": "-", "color": style[method].colour, "linewidth": 0.4,
                    "alpha": 0.55, "shrinkA": 0, "shrinkB": 3,
                    "relpos": (0, 0.5),
                },
            )  # fmt: skip
    figure.supxlabel(f"training time of one run ({unit})", fontsize=8)
    return figure
