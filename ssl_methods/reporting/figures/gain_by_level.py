"""The gain on each labeled subset against the baseline's level there: whom a method helps."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.design import Design
from ssl_methods.analysis.gains import gains_by_subset
from ssl_methods.analysis.names import label
from ssl_methods.measures import of
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import APART, budgets, columns_of, grid, labeled_text
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, MANY, SINGLE

FEWEST = 3  # subsets, below which nothing of it is seen


class GainByLevel(Drawing):
    place = 12
    section = "results"

    def caption_for(self, found: Results) -> str:
        baseline = label(found.design.baseline)
        return (
            f"Gain over {baseline} on each labeled subset against the level of "
            f"{baseline} there, both on the test cases. Where dots fall from left to "
            "right a method helps most where the labels were least helpful; a part of that fall is "
            "chance, since the level is in both."
        )

    def draw(self, found: Results) -> Figure:
        return gain_by_level(gains_by_subset(found.cases, found.design), found.design)


def gain_by_level(gains: pd.DataFrame, design: Design) -> Figure:
    """A panel for each budget; of many methods only the outermost are coloured.

    Raises NothingToShow with fewer than three subsets at every budget.
    """
    gains = gains[gains["role"] == "method"]
    counts = gains.groupby("budget", sort=False)["subset"].nunique() if len(gains) else pd.Series()
    gains = gains[gains["budget"].isin(counts[counts >= FEWEST].index)]
    if gains.empty:
        raise NothingToShow(f"fewer than {FEWEST} labeled subsets have runs")
    texts = budgets(gains)
    columns = columns_of(len(texts))
    figure = Figure(figsize=(SINGLE if columns == 1 else DOUBLE, 2.6 * -(-len(texts) // columns)))
    style = looks(gains["method"])
    many = len(style) > MANY
    measure = of(design.primary)
    unit = "points" if measure.scale == 100 else measure.unit
    for axis, (budget, text) in zip(
        grid(figure, len(texts), columns, sharey=True), texts.items(), strict=True
    ):
        axis.axhspan(-design.margin, design.margin, color="#dfe6ee", zorder=0, linewidth=0)
        axis.axhline(0, color=APART, linewidth=0.7, zorder=1)
        for method, own in gains[gains["budget"] == budget].groupby("method", sort=False):
            look = style[str(method)]
            axis.plot(
                own["level"], own["gain"], linestyle="", marker=look.marker, markersize=4,
                color=APART if many else look.colour, alpha=0.35 if many else 0.85,
                markeredgecolor="white", markeredgewidth=0.4, label=label(str(method)),
            )  # fmt: skip
        axis.set_title(labeled_text(text))
    figure.supxlabel(f"{measure.title} of {label(design.baseline)} ({measure.unit})", fontsize=8)
    figure.supylabel(f"gain ({unit})", fontsize=8)
    if not many:
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=7)
    return figure
