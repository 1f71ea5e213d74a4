"""What was measured: Dice against labels, the cases behind each mean, Dice against time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ssl_methods.analysis.tables import MEAN_CLASS, one_line, overall, roles
from ssl_methods.measures import compared
from ssl_methods.reporting.figures.rows import dice_rows, distribution_rows, time_rows
from ssl_methods.reporting.style import (
    APART,
    DASHES,
    DOTS,
    DOUBLE,
    MANY,
    SINGLE,
    Look,
    NothingToShow,
    budgets,
    column_width,
    columns_of,
    dots_as_picture,
    grid,
    head_grid,
    keep_in_view,
    label,
    labeled_text,
    looks,
    methods_of,
    top_legend,
)

NO_DICE = "no run has a case with any class"


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


def metric_distributions(cases: pd.DataFrame) -> Figure:
    """Every measurement behind the means: a dot per test case and run, a box (quartiles, median).

    Distances on a scale that is linear to 1 and logarithmic above.
    """
    cases = overall(cases)
    if cases.empty:
        raise NothingToShow(NO_DICE)
    if cases["method"].nunique() > MANY:
        return distribution_rows(cases)
    texts, style, metrics = budgets(cases), looks(methods_of(cases)), compared(cases)
    width = column_width(1.0 + len(texts) * (0.7 + 0.36 * len(style)))
    figure = Figure(figsize=(width, 1.65 * len(metrics)))
    axes = figure.subplots(len(metrics), len(texts), sharex=True, sharey="row", squeeze=False)
    for row, (metric, measure) in zip(axes, metrics.items(), strict=True):
        for axis, budget in zip(row, texts, strict=True):
            own = cases[cases["budget"] == budget]
            values = [
                own.loc[own["method"] == method, metric].dropna().to_numpy() * measure.scale
                for method in style
            ]
            _boxes(axis, values, list(style.values()))
            axis.set_xticks(
                range(len(style)),
                [label(method) for method in style],
                rotation=35,
                ha="right",
                rotation_mode="anchor",
            )
            axis.grid(visible=False, axis="x")
        if measure.has_no_end:  # a failure lies far above the rest, and 0 is possible
            row[0].set_yscale("symlog", linthresh=1)
            row[0].yaxis.set_major_locator(FixedLocator([0, 1, 3, 10, 30, 100, 300]))
            row[0].yaxis.set_major_formatter("{x:g}")
            row[0].set_ylim(bottom=0)
    head_grid(axes, [labeled_text(text) for text in texts.values()],
              [measure.axis for measure in metrics.values()])  # fmt: skip
    return figure


def _boxes(axis: Axes, values: Sequence[np.ndarray], style: Sequence[Look]) -> None:
    random = np.random.default_rng(0)
    dots_as_picture(axis, sum(map(len, values)))
    for x, (column, look) in enumerate(zip(values, style, strict=True)):
        if not len(column):
            continue
        jitter = x + random.uniform(-0.22, 0.22, len(column))
        axis.plot(
            jitter,
            column,
            ".",
            color=look.colour,
            markersize=3,
            alpha=0.4,
            markeredgewidth=0,
            zorder=DOTS,
        )
        line = {"color": look.colour, "linewidth": 0.9}
        axis.boxplot(
            [column], positions=[x], widths=0.62, whis=(5, 95),
            showfliers=False, manage_ticks=False,
            medianprops=line | {"linewidth": 1.8}, boxprops=line, whiskerprops=line, capprops=line,
        )  # fmt: skip


def time_vs_dice(summary: pd.DataFrame) -> Figure:
    """Mean Dice over the training time of one run, with 95 % intervals; a panel per budget.

    Controls are left out: they are not trained. Of many methods each is named, without interval.
    """
    summary = overall(summary).dropna(subset=["dice", "train_seconds"])
    summary = summary[roles(summary) != "control"]
    if summary.empty:
        raise NothingToShow("no run records its training time")
    seconds = summary["train_seconds"].max()
    size, unit = (1, "s") if seconds < 300 else (60, "min") if seconds < 18000 else (3600, "h")
    if summary["method"].nunique() > MANY:
        return time_rows(summary, size, unit)
    texts = budgets(summary)
    figure = Figure(figsize=(column_width(0.6 + 2.2 * len(texts)), 2.7))
    axes = figure.subplots(1, len(texts), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (budget, text) in zip(axes, texts.items(), strict=True):
        own = summary[summary["budget"] == budget].set_index("method")
        for method, look in looks(methods_of(summary)).items():
            if method in own.index:
                row = own.loc[method]
                x, y = row["train_seconds"] / size, row["dice"] * 100
                ends = [[y - row["dice_low"] * 100], [row["dice_high"] * 100 - y]]
                axis.errorbar(
                    x,
                    y,
                    ends,
                    fmt="none",
                    ecolor=look.colour,
                    elinewidth=0.8,
                    capsize=1.8,
                    alpha=0.6,
                )
                axis.plot(
                    x,
                    y,
                    linestyle="none",
                    marker=look.marker,
                    color=look.colour,
                    label=label(method),
                    markersize=6,
                    markeredgecolor="white",
                    markeredgewidth=0.5,
                )
        axis.set_title(labeled_text(text))
        axis.margins(x=0.15)
    axes[0].set_ylabel("Dice (%)")
    figure.supxlabel(f"training time of one run ({unit})", fontsize=8)
    top_legend(figure)
    return figure
