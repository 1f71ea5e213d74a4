"""Predictions on their images: the best, the median and the worst test case of every method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ssl_methods.analysis.names import label
from ssl_methods.analysis.run_files import read_slice
from ssl_methods.analysis.tables import overall
from ssl_methods.config import Run, budget_text
from ssl_methods.reporting.figures.base import NothingToShow
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import MANY, SKY, YELLOW, column_width
from ssl_methods.shown import one_line

REFERENCE, PREDICTION = YELLOW, SKY


FIRST = 6  # of many methods, those whose overlays need no click
NEXT = 30  # of the rest, those whose overlays are drawn: each takes room on the page
PAGE = 8.8  # inches of height that a page of a paper has for a figure
NO_SLICES = "no run has a slices.npz that can be read"


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
    height = 0.6 + (panel * tallest + 0.3) * rows
    figure = Figure(figsize=(width, min(height, PAGE) if abreast == 1 else height))
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


def draw_overlays(found: Results, others: bool = False) -> Figure:
    """Draw the overlays: of many methods the first few, or (``others``) those that these leave."""
    runs = found.overlay_runs
    if not runs:
        raise NothingToShow(NO_SLICES)
    cases = overall(found.cases)
    dice = pd.DataFrame({run.name: _dice(cases, run) for run in runs}).T
    chosen = best_median_worst(dice.loc[_chooser(found, runs)])
    first = _first(runs)
    drawn = runs[len(first) : len(first) + NEXT] if others else first
    if not drawn:
        raise NothingToShow("every method is shown")
    slices = {}
    for run in drawn:
        wanted = found.slices(run), list(chosen.values())
        own = found.unless_damaged(_slices, *wanted, otherwise=None)
        if own:
            slices[run.name] = own
    if not slices:
        raise NothingToShow(NO_SLICES)
    return overlays(slices, dice, chosen, abreast=2 if others else 1)


def _first(runs: list[Run]) -> list[Run]:
    """Those whose overlays are shown at once: all, or of many the first few as declared."""
    return runs if len(runs) <= MANY else runs[:FIRST]


def _dice(cases: pd.DataFrame, run: Run) -> pd.Series:
    own = cases["method"].eq(run.name) & cases["budget"].eq(budget_text(run.budget))
    return cases[own & cases["subset"].eq(run.subset) & cases["seed"].eq(run.seed)].set_index(
        "case"
    )["dice"]


def _chooser(found: Results, runs: list[Run]) -> str:
    """Whose Dice ranks the cases: the baseline's, or the first method's."""
    names = [run.name for run in runs]
    return found.experiment.baseline if found.experiment.baseline in names else names[0]


def _slices(path: Path, cases: list[str]) -> dict[str, Slice]:
    return {case: Slice(*read_slice(path, case)) for case in cases}


def others_caption(found: Results) -> str:
    runs = found.overlay_runs
    rest = len(runs) - len(_first(runs))
    return f"The same test cases for the {'other' if rest <= NEXT else f'next {NEXT}'} methods."


def overlay_caption(found: Results) -> str:
    runs = found.overlay_runs
    if not runs:
        return "Predictions of the best, the median and the worst test case."
    chooser = _chooser(found, runs)
    whom = "for every method" if _first(runs) == runs else f"for the first {FIRST} methods"
    return (
        f"The best, the median and the worst test case of {label(chooser)} by Dice, and the "
        f"same cases {whom}: the slice with most foreground. Above each panel: Dice of the whole "
        f"case. {whose(runs)}"
    )


def whose(runs: list[Run]) -> str:
    """Which run of each method the pictures are of."""
    cells = {(run.subset, run.seed) for run in runs}
    text = f"Of each method the run with the median Dice at budget {budget_text(runs[0].budget)}"
    if len(cells) == 1:
        return f"{text}: subset {runs[0].subset}, seed {runs[0].seed}."
    if len(runs) > MANY:
        return f"{text}."
    named = [f"{label(run.name)} subset {run.subset}, seed {run.seed}" for run in runs]
    return f"{text}: {'; '.join(named)}."
