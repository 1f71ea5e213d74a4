"""Every measurement behind the means; of many methods a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ssl_methods.analysis.names import label
from ssl_methods.analysis.tables import overall, roles
from ssl_methods.measures import Measure, compared
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks, methods_of
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

TICKS = (0, 1, 3, 10, 30, 100, 300)
FINE_TICKS = (0, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300)


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
    texts, methods, metrics = budgets(cases), list(methods_of(cases)), compared(cases)
    places = {method: float(place) for place, method in enumerate(methods)}
    width = column_width(1.0 + len(texts) * (0.7 + 0.36 * len(methods)))
    figure = Figure(figsize=(width, 1.65 * len(metrics)))
    axes = figure.subplots(len(metrics), len(texts), sharex=True, sharey="row", squeeze=False)
    for row, (metric, measure) in zip(axes, metrics.items(), strict=True):
        for axis, budget in zip(row, texts, strict=True):
            _boxes(axis, cases[cases["budget"] == budget], places, metric, measure, "v")
            axis.set_xticks(
                range(len(methods)),
                [label(method) for method in methods],
                rotation=35,
                ha="right",
                rotation_mode="anchor",
            )
            axis.set_xlim(-0.5, len(methods) - 0.5)
            axis.grid(visible=False, axis="x")
        if measure.has_no_end:  # a failure lies far above the rest, and 0 is possible
            row[0].set_yscale("symlog", linthresh=1)
            row[0].yaxis.set_major_locator(FixedLocator(FINE_TICKS))
            row[0].yaxis.set_major_formatter("{x:g}")
            keep_in_view(row[0], "y", [cases[metric].to_numpy(float) * measure.scale])
    head_grid(axes, [labeled_text(text) for text in texts.values()],
              [measure.axis for measure in metrics.values()])  # fmt: skip
    return figure


def distribution_rows(cases: pd.DataFrame) -> Figure:
    """Every measurement behind the means: columns are metrics, a block of rows for each budget."""
    texts, metrics, places = budgets(cases), compared(cases), rows_of(cases)
    tall = ROW * (max(places.values()) + 1)
    figure = Figure(figsize=(DOUBLE, 0.2 + (tall + 0.5) * len(texts)))
    axes = figure.subplots(len(texts), len(metrics), sharex="col", sharey=True, squeeze=False)
    for row, (budget, text) in zip(axes, texts.items(), strict=True):
        for axis, (metric, measure) in zip(row, metrics.items(), strict=True):
            _boxes(axis, cases[cases["budget"] == budget], places, metric, measure, "h")
            list_methods(axis, cases)
            axis.set_title(measure.axis)
        row[0].set_ylabel(labeled_text(text))
    shown = cases[roles(cases) != "control"]
    for column, (metric, measure) in zip(axes.T, metrics.items(), strict=True):
        if measure.has_no_end:
            column[0].set_xscale("symlog", linthresh=1)
            column[0].set_xticks(TICKS, minor=False)
            column[0].xaxis.set_major_formatter("{x:g}")
        keep_in_view(column[0], "x", [shown[metric].to_numpy(float) * measure.scale])
        for axis, budget in zip(column, texts, strict=True):
            axis.tick_params(axis="x", labelbottom=True)
            own = cases[cases["budget"] == budget]
            medians = own.groupby("method", sort=False)[metric].median() * measure.scale
            say_what_is_beyond(axis, medians, places)
    return figure


def _boxes(
    axis: Axes,
    own: pd.DataFrame,
    places: Mapping[str, float],
    metric: str,
    measure: Measure,
    orient: str,
) -> None:
    """A box and a dot per measurement for each method: upright ('v') or lying ('h')."""
    data = pd.DataFrame(
        {
            "method": own["method"],
            "place": own["method"].map(places),
            "value": own[metric].astype(float) * measure.scale,
        }
    ).dropna()
    if data.empty:
        return
    x, y = ("place", "value") if orient == "v" else ("value", "place")
    shared = {
        "data": data, "x": x, "y": y, "ax": axis, "orient": orient, "hue": "method",
        "palette": {method: look.colour for method, look in looks(places).items()},
        "native_scale": True, "dodge": False, "legend": False,
    }  # fmt: skip
    dots_as_picture(axis, len(data))
    with equal_jitter():
        sns.stripplot(**shared, jitter=0.22, size=2.2, alpha=0.4, linewidth=0, zorder=DOTS)
    sns.boxplot(
        **shared, fill=False, width=0.62, whis=(5, 95), showfliers=False, linewidth=0.9,
        medianprops={"linewidth": 1.8},
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")


@contextmanager
def equal_jitter() -> Iterator[None]:
    """Within it seaborn's jitter is the same at every call: it draws from NumPy's global state."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
