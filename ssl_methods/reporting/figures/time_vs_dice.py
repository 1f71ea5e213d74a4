"""Mean Dice against the training time of one run."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import time_note
from ssl_methods.analysis.tables import overall, roles
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks, methods_of
from ssl_methods.reporting.panels import budgets, labeled_text, top_legend
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, MANY, column_width


class TimeVsDice(Drawing):
    place = 30

    def caption_for(self, found: Results) -> str:
        bars = "" if found.many else " Bars: 95 % intervals."
        many = " Some were measured beside other jobs (Results)." * bool(time_note(found.summary))
        return f"Mean Dice against the training time of one run.{bars}{many}"

    def draw(self, found: Results) -> Figure:
        return time_vs_dice(found.summary)


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
