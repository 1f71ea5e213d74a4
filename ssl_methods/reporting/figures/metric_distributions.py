"""Every measurement behind the means; of many methods a row for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from ssl_methods.analysis.tables import overall, roles
from ssl_methods.measures import compared
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import Look, label, looks, methods_of
from ssl_methods.reporting.panels import (
    DOTS,
    ROW,
    budgets,
    dots_as_picture,
    head_grid,
    keep_in_view,
    labeled_text,
    list_methods,
    rows_of,
    say_what_is_beyond,
)
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, MANY, column_width


class MetricDistributions(Drawing):
    place = 20

    def caption_for(self, found: Results) -> str:
        return (
            "Every measurement behind the means: one dot per test case and run. Boxes: quartiles "
            "and median; whiskers: 5th to 95th percentile. Distances: linear to 1, logarithmic "
            "above. An empty prediction lies at the volume's diagonal."
            + " An arrow with a number: a median beyond the axis."
            * found.many
        )

    def draw(self, found: Results) -> Figure:
        return metric_distributions(found.cases)


def metric_distributions(cases: pd.DataFrame) -> Figure:
    """Every measurement behind the means: a dot per test case and run, a box (quartiles, median).

    Distances on a scale that is linear to 1 and logarithmic above.
    """
    cases = overall(cases)
    if cases.empty:
        raise NothingToShow("no run has a case with any class")
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
            _row_boxes(axis, own, cases, metric, measure.scale)
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


def _row_boxes(
    axis: Axes, own: pd.DataFrame, cases: pd.DataFrame, metric: str, scale: float
) -> None:
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
