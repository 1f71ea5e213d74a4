"""How panels, rows and legends are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ssl_methods.analysis.names import label
from ssl_methods.config import is_all
from ssl_methods.reporting.looks import methods_of

Names: TypeAlias = Sequence[str] | range
ROW = 0.17  # inches of one method's row


def rows_of(frame: pd.DataFrame) -> dict[str, float]:
    """Where each method stands in a list from top to bottom, with a gap between roles."""
    places: dict[str, float] = {}
    before, y = "", -1.0
    for method, role in methods_of(frame).items():
        y += 1.0 if role == before or not before else 1.5
        places[method], before = y, role
    return places


def list_methods(axis: Axes, frame: pd.DataFrame) -> None:
    """The methods' names along the y axis, from top to bottom; a rule between roles."""
    places, kinds = rows_of(frame), methods_of(frame)
    axis.set_yticks(list(places.values()), [label(method) for method in places])
    axis.set_ylim(max(places.values()) + 0.7, -0.7)
    axis.tick_params(axis="y", length=0)
    for text, role in zip(axis.get_yticklabels(), kinds.values(), strict=False):  # inner: none
        if role != "method":
            text.set(style="italic", color=APART)
    names = list(places)
    for above, below in pairwise(names):
        if kinds[above] != kinds[below]:
            axis.axhline((places[above] + places[below]) / 2, color="#b8b8b8", linewidth=0.6)
    axis.grid(visible=False, axis="y")


def keep_in_view(
    axis: Axes, along: str, values: Sequence[np.ndarray], margin: float = 0.04
) -> None:
    """Limits of one axis ('x' or 'y') from what is compared, so that a control cannot squeeze it.

    On a scale that is not linear the margin is a factor.
    """
    found = np.concatenate([np.ravel(part) for part in values]).astype(float)
    found = found[np.isfinite(found)]
    if not len(found):
        return
    low, high = found.min(), found.max()
    gap = (high - low or 1.0) * margin
    if getattr(axis, f"get_{along}scale")() == "linear":
        getattr(axis, f"set_{along}lim")(low - gap, high + gap)
    else:
        getattr(axis, f"set_{along}lim")(low * (1 - margin), high * (1 + 5 * margin))


APART = "#6a6a6a"
"""Ink for the names of upper bounds and controls."""


def budgets(frame: pd.DataFrame) -> dict[str, str]:
    """Each budget, from few labels to many, with the text that figures write: '16', '80 (all)'."""
    counts = (
        frame.dropna(subset=["labeled"])
        .drop_duplicates("budget")
        .sort_values("labeled", kind="stable")
    )
    return {
        row["budget"]: f"{int(row['labeled'])}{' (all)' if is_all(row['budget']) else ''}"
        for _, row in counts.iterrows()
    }


def labeled_text(count: str) -> str:
    """'4 labeled cases', from what ``budgets`` gives."""
    return "1 labeled case" if count == "1" else f"{count.split()[0]} labeled cases"


def heat_map(axis: Axes, values: ArrayLike, rows: Names, columns: Names, **options: Any) -> None:
    """Cells coloured by their values, which stand in them; names of rows and columns, no ticks.

    ``options`` are those of seaborn's heatmap: colours, limits, format, ...
    """
    import seaborn as sns

    written = {"annot": True, "annot_kws": {"fontsize": 7}}
    names = {"xticklabels": columns, "yticklabels": rows}
    sns.heatmap(values, ax=axis, **written | names | options)
    axis.tick_params(length=0)
    axis.tick_params(axis="y", labelrotation=0)
    axis.grid(visible=False)


def grid(figure: Figure, panels: int, columns: int, **shared: object) -> list[Axes]:
    """Panels in rows; places left over are no axes, and what has none below it has tick labels."""
    rows = -(-panels // columns)
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axis in axes[panels:]:
        axis.remove()
    for axis in axes[max(panels - columns, 0) : panels]:
        axis.tick_params(labelbottom=True)
    return axes[:panels]


def columns_of(panels: int) -> int:
    """Up to three in a row; four are two by two."""
    return 2 if panels == 4 else min(panels, 3)


def head_grid(axes: NDArray, titles: Sequence[str], names: Sequence[str]) -> None:
    """Titles above the columns and names beside the rows of a grid; panels without data go.

    Called when everything is drawn: what stands first in its row or column then carries the words
    and the tick labels.
    """
    drawn = np.vectorize(lambda axis: axis.has_data(), otypes=[bool])(axes)
    for row, has, name in zip(axes, drawn, names, strict=True):
        for first in row[has][:1]:
            first.set_ylabel(name)
            first.tick_params(labelleft=True)
    for column, has, title in zip(axes.T, drawn.T, titles, strict=True):
        for first in column[has][:1]:
            first.set_title(title)
        for last in column[has][-1:]:
            last.tick_params(labelbottom=True)
    for axis in axes[~drawn]:
        axis.remove()


DOTS = -1  # zorder of the dots of single measurements: behind the grid


def dots_as_picture(axis: Axes, count: int) -> None:
    """Give a PDF one picture per panel instead of thousands of dots.

    Not one for each group of dots: each would take the memory of the whole page while it is drawn.
    """
    if count > 2000:
        axis.set_rasterization_zorder(0)


NAME_WIDTH = 1.15  # inches that a method's name of 13 letters takes in a legend


def top_legend(figure: Figure) -> None:
    """One legend above all panels, each name once."""
    named: dict[str, object] = {}
    for axis in figure.axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(text, handle)
    longest = max(map(len, named), default=0)
    width = NAME_WIDTH + 0.055 * max(longest - 13, 0)
    columns = max(int(figure.get_figwidth() / width), 1)
    figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=columns)


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
