"""Forest plot: each method's difference from the baseline, a dot per subset, the verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_methods.analysis.design import Design
from ssl_methods.analysis.gains import gains_by_subset
from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import WORDS
from ssl_methods.analysis.tables import overall
from ssl_methods.measures import of
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import (
    APART,
    ROW,
    budgets,
    keep_in_view,
    labeled_text,
    list_methods,
    rows_of,
)
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import column_width

NAMES_WIDTH, PANEL_WIDTH = 1.6, 2.6  # inches
BAND = "#dfe6ee"


class Differences(Drawing):
    place = 1
    section = "results"

    def caption_for(self, found: Results) -> str:
        design = found.design
        unit = "points" if of(design.primary).scale == 100 else of(design.primary).unit
        return (
            f"Paired difference in {of(design.primary).title} from {label(design.baseline)}, "
            "positive where the method is better: mean and 95 % interval over labeled subsets and "
            f"cases; small dots: single subsets. Band: the margin of {design.margin:g} {unit}. "
            "At the right the verdict, where one is given."
        )

    def draw(self, found: Results) -> Figure:
        gains = gains_by_subset(found.cases, found.design)
        return differences(found.comparisons, gains, found.design)


def differences(comparisons: pd.DataFrame, gains: pd.DataFrame, design: Design) -> Figure:
    """A panel for each budget, a row for each method.

    Args:
        comparisons: ``comparisons.csv``, its rows with the baseline.
        gains: of ``gains_by_subset``.
        design: names the metric, the margin and the baseline.

    Raises NothingToShow if nothing was compared.
    """
    rows = comparisons[comparisons["metric"] == design.primary]
    rows = overall(rows) if len(rows) else rows
    rows = rows[rows["role"] != "control"]
    if rows.empty:
        raise NothingToShow("nothing was compared with the baseline")
    texts = budgets(rows)
    tall = ROW * (max(rows_of(rows).values()) + 2)
    figure = Figure(figsize=(column_width(NAMES_WIDTH + PANEL_WIDTH * len(texts)), 0.55 + tall))
    axes = figure.subplots(1, len(texts), sharex=True, sharey=True, squeeze=False)[0]
    dots = gains[gains["role"] != "control"]
    for axis, (budget, text) in zip(axes, texts.items(), strict=True):
        own = rows[rows["budget"] == budget]
        _panel(axis, own, dots[dots["budget"] == budget], rows, design)
        axis.set_title(labeled_text(text))
        axis.set_xlabel(_axis(design))
    scale, sign = _scale(design)
    spans = [sign * scale * rows[name].to_numpy(float) for name in ("difference", "low", "high")]
    band = np.array([-design.margin, design.margin])
    keep_in_view(axes[0], "x", [*spans, dots["gain"].to_numpy(float), band])
    return figure


def _panel(
    axis: Axes, own: pd.DataFrame, dots: pd.DataFrame, every: pd.DataFrame, design: Design
) -> None:
    list_methods(axis, every)
    axis.axvspan(-design.margin, design.margin, color=BAND, zorder=0, linewidth=0)
    axis.axvline(0, color=APART, linewidth=0.7, zorder=1)
    places, style = rows_of(every), looks(every["method"])
    scale, sign = _scale(design)
    for _, row in own.iterrows():
        y, look = places[row["method"]], style[row["method"]]
        ends = sorted(sign * scale * float(row[name]) for name in ("low", "high"))
        axis.plot(ends, [y, y], color=look.colour, linewidth=1.4, solid_capstyle="butt", zorder=2)
        axis.plot(
            sign * scale * row["difference"], y, marker=look.marker, color=look.colour,
            markersize=5, markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
        values = dots.loc[dots["method"] == row["method"], "gain"].to_numpy(float)
        axis.plot(
            values, np.full(len(values), y + 0.27), ".",
            color=look.colour, markersize=4, alpha=0.7, markeredgewidth=0,
        )  # fmt: skip
        axis.annotate(
            WORDS.get(row["verdict"], ""), (1.0, y), xycoords=("axes fraction", "data"),
            xytext=(2, 0), textcoords="offset points", va="center", fontsize=6.5,
            annotation_clip=False,
        )  # fmt: skip


def _scale(design: Design) -> tuple[float, int]:
    """To the unit that is shown, and the sign that makes larger better."""
    measure = of(design.primary)
    return measure.scale, 1 if measure.higher_is_better else -1


def _axis(design: Design) -> str:
    measure = of(design.primary)
    unit = "points" if measure.scale == 100 else measure.unit
    return f"gain in {measure.title} ({unit})"
