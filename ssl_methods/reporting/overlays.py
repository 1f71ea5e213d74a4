"""Predictions on their images: the best, the median and the worst test case of every method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ssl_methods.analysis.tables import one_line
from ssl_methods.reporting.style import column_width, label

REFERENCE, PREDICTION = "#f0e442", "#56b4e9"


class Slice(NamedTuple):
    """One slice of a test case, all (x, y): image float; reference and prediction 0..K."""

    image: NDArray
    reference: NDArray
    prediction: NDArray


def best_median_worst(dice: pd.Series) -> dict[str, str]:
    """{'best': id, 'median': id, 'worst': id} by the Dice of each case; ties by id.

    Chosen by one method (the baseline) for all, so that a column shows one case. The median of an
    even number is the lower of the middle two. Fewer than three cases repeat none.
    """
    ranked = (
        dice.rename_axis("case")
        .reset_index(name="dice")
        .sort_values(["dice", "case"])["case"]
        .tolist()
    )
    chosen = {"best": ranked[-1], "median": ranked[(len(ranked) - 1) // 2], "worst": ranked[0]}
    return {
        name: case
        for i, (name, case) in enumerate(chosen.items())
        if case not in list(chosen.values())[:i]
    }


def overlays(
    slices: Mapping[str, Mapping[str, Slice]],
    dice: pd.DataFrame,
    chosen: Mapping[str, str],
    abreast: int = 1,
) -> Figure:
    """Contours of reference and prediction; rows are methods, columns the chosen cases.

    Args:
        slices: method -> case -> its slice.
        dice: (methods, cases), 0..1: the Dice of the whole case, printed above each panel.
        chosen: column heading -> case, see ``best_median_worst``.
        abreast: methods side by side in a row; of more than one the headings name no cases.
    """
    shapes = [own[case].image.shape for own in slices.values() for case in chosen.values()]
    tallest = min(max(height / width for width, height in shapes), 1.5)
    columns, rows = abreast * len(chosen), -(-len(slices) // abreast)
    width = column_width(0.35 + 2.1 * columns)
    panel = (width - 0.35 * abreast) / columns
    figure = Figure(figsize=(width, 0.6 + (panel * tallest + 0.3) * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    places = axes.reshape(rows * abreast, len(chosen))
    for axis in places[len(slices) :].flat:
        axis.remove()
    for row, (method, own) in zip(places, slices.items(), strict=False):
        for axis, (heading, case) in zip(row, chosen.items(), strict=True):
            title = f"Dice {dice.loc[method, case] * 100:.1f} %"
            if axis in axes[0]:
                named = f"{heading}: {one_line(case)}" if abreast == 1 else heading
                title = f"{named}\n{title}"
            show_slice(axis, own[case].image, title)
            outline(axis, own[case].reference, REFERENCE, "solid")
            outline(axis, own[case].prediction, PREDICTION, "dashed")
        name = label(method)
        row[0].set_ylabel(textwrap.fill(name, 14, break_on_hyphens=False) if abreast > 1 else name)
    lines = [Line2D([], [], color=REFERENCE), Line2D([], [], color=PREDICTION, linestyle="dashed")]
    figure.legend(
        lines, ["reference", "prediction"], loc="outside lower center", ncols=2, labelcolor="black"
    )
    return figure


def show_slice(axis: Axes, values: NDArray, title: str, **options: Any) -> AxesImage:
    """An (x, y) slice with x to the right and y upwards, square voxels, no ticks."""
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_visible(False)
    axis.grid(visible=False)
    return axis.imshow(
        np.asarray(values, np.float32).T, origin="lower", interpolation="none", **options
    )


def outline(axis: Axes, classes: NDArray, colour: str, style: str) -> None:
    """The contour of each class; none in a picture of one row or column."""
    if min(classes.shape) < 2:
        return
    for klass in range(1, int(classes.max(initial=0)) + 1):
        if (classes == klass).any():
            axis.contour(
                (classes == klass).T, levels=[0.5], colors=colour, linestyles=style, linewidths=1.1
            )
