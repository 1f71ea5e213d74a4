"""Slice by slice: the stacks of the first test cases, contours as vectors, for the page's slider.

The image and the reference of a slice are on the page once; every method's panel refers to them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import contourpy
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ssl_methods.analysis.tables import number, overall
from ssl_methods.config import Run, budget_text
from ssl_methods.reporting.found import Results
from ssl_methods.reporting.style import label

MOST = 36
"""Methods that are shown, the first of more: each adds its contours to the page."""


class Panel(NamedTuple):
    """One method on one slice: its name, Dice of the whole case, its contour as an SVG path."""

    name: str
    dice: str
    path: str


class Leaf(NamedTuple):
    """One slice: position on the last axis, picture (data URI), reference and panels."""

    position: int
    picture: str
    reference: str
    panels: list[Panel]


class Stack(NamedTuple):
    """One case: its slices, all of one size in voxels."""

    case: str
    width: int
    height: int
    leaves: list[Leaf]


def stacks(found: Results) -> list[Stack]:
    """Of every case that has one, in the order of the file, with the runs (``MOST``) that have it.

    The runs are those of the overlays. Results of earlier versions have no stacks.
    """
    runs = [run for run in found.overlay_runs()[:MOST] if _cases(_file(found, run))]
    if not runs:
        return []
    return [_stack(found, runs, case) for case in _cases(_file(found, runs[0]))]


def _file(found: Results, run: Run) -> Path:
    return found.root / run.folder / "slices.npz"


def _cases(path: Path) -> list[str]:
    with np.load(path, allow_pickle=False) as arrays:
        names = [name for name in arrays.files if name.endswith(".slices_image")]
    return [name.removesuffix(".slices_image") for name in names]


def _stack(found: Results, runs: list[Run], case: str) -> Stack:
    predictions = {}
    for run in runs:
        with np.load(_file(found, run), allow_pickle=False) as arrays:
            if f"{case}.slices_prediction" in arrays:
                predictions[run.name] = arrays[f"{case}.slices_prediction"]
            if run is runs[0]:
                index, images, labels = (
                    arrays[f"{case}.slices_{part}"] for part in ("index", "image", "label")
                )
    dice = _dice(found, runs[0], case)
    leaves = []
    for i, position in enumerate(index):
        panels = [
            Panel(label(name), number(dice.get(name), 1, 100), contour(prediction[i]))
            for name, prediction in predictions.items()
        ]
        leaves.append(Leaf(int(position), picture(images[i]), contour(labels[i]), panels))
    return Stack(case, images.shape[1], images.shape[2], leaves)


def _dice(found: Results, like: Run, case: str) -> pd.Series:
    """Dice of the case by every method, in the runs of the same budget, subset and seed."""
    cases = overall(found.cases)
    own = cases["case"].eq(case) & cases["budget"].eq(budget_text(like.budget))
    own &= cases["subset"].eq(like.subset) & cases["seed"].eq(like.seed)
    return cases[own].set_index("method")["dice"]


def picture(grey: NDArray[np.uint8]) -> str:
    """An (x, y) slice as PNG in a data URI, x to the right and y upwards."""
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey.T[::-1])).save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def contour(classes: NDArray[np.uint8]) -> str:
    """The outlines of every class of an (x, y) slice as an SVG path; voxels have size 1.

    Outlines run between voxels' centres, as in the figures, and are closed at the border.
    """
    return "".join(_lines(classes))


def _lines(classes: NDArray[np.uint8]) -> Iterator[str]:
    height = classes.shape[1]
    for value in range(1, int(classes.max(initial=0)) + 1):
        mask = np.pad((classes == value).T.astype(float), 1)
        for line in contourpy.contour_generator(z=mask).lines(0.5):
            points = [f"{x - 0.5:g} {height - (y - 0.5):g}" for x, y in np.asarray(line)]
            yield f"M{'L'.join(points[:-1])}Z"
