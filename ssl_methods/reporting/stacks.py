"""Slice by slice: the stacks of the first test cases, contours as vectors, for the page's slider;
of the other cases the slice with most foreground.

The image and the reference of a slice are on the page once; every method's panel refers to them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import find_contours

from ssl_methods.analysis.names import label
from ssl_methods.analysis.run_files import (
    cases_with_slices,
    cases_with_stacks,
    read_slice,
    read_stack,
)
from ssl_methods.analysis.shown import number
from ssl_methods.config import Run, budget_text
from ssl_methods.errors import UserError
from ssl_methods.reporting.results import Results

MOST = 36
"""Methods that are shown, the first of more: each adds its contours to the page."""
MOST_PANELS = 600
"""Cases times methods of which one slice is shown, the first of more cases: 1 MB or so."""


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
    """Slice stacks of the cases, in the order of the file, each with its runs (``MOST``).

    The runs are those of the overlays. Results of earlier versions have no stacks.
    """
    runs = [run for run in found.overlay_runs[:MOST] if _cases(found, run)]
    if not runs:
        return []
    shown = (_stack(found, runs, case, _read) for case in _cases(found, runs[0]))
    return [stack for stack in shown if stack]


def other_cases(found: Results) -> list[Stack]:
    """One slice of each case that has no stack, that with most foreground, as far as there is room
    (``MOST_PANELS``)."""
    runs = found.overlay_runs[:MOST]
    if not runs:
        return []
    with_stacks = set(_cases(found, runs[0]))
    no_case: list[str] = []
    every = found.unless_damaged(cases_with_slices, found.slices(runs[0]), otherwise=no_case)
    others = [case for case in every if case not in with_stacks][: MOST_PANELS // len(runs)]
    shown = (_stack(found, runs, case, _read_one) for case in others)
    return [stack for stack in shown if stack]


def _cases(found: Results, run: Run) -> list[str]:
    return found.unless_damaged(cases_with_stacks, found.slices(run), otherwise=[])


Read = Callable[[Path, str, tuple[NDArray, ...] | None], tuple[NDArray, ...]]


def _stack(found: Results, runs: list[Run], case: str, read_of: Read) -> Stack | None:
    """None if no run's can be read. A run whose stack is of another size than the first's is none
    of this case."""
    predictions: list[tuple[Run, NDArray[np.uint8]]] = []
    first = None
    for run in runs:
        read = found.unless_damaged(read_of, found.slices(run), case, first, otherwise=None)
        if read:
            first = first or read
            predictions.append((run, read[3]))
    if first is None:
        return None
    index, images, labels, _ = first
    leaves = []
    for i, position in enumerate(index):
        panels = [
            Panel(label(run.name), number(_dice(found, run, case), 1, 100), contour(prediction[i]))
            for run, prediction in predictions
        ]
        leaves.append(Leaf(int(position), picture(images[i]), contour(labels[i]), panels))
    return Stack(case, images.shape[1], images.shape[2], leaves)


def _read(path: Path, case: str, first: tuple[NDArray, ...] | None) -> tuple[NDArray, ...]:
    return _as_the_first(path, read_stack(path, case), first)


def _read_one(path: Path, case: str, first: tuple[NDArray, ...] | None) -> tuple[NDArray, ...]:
    image, label, prediction = read_slice(path, case)
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / (high - low or 1.0), 0.0, 1.0) * 255
    read = np.zeros(1, int), grey.astype(np.uint8)[None], label[None], prediction[None]
    return _as_the_first(path, read, first)


def _as_the_first(
    path: Path, read: tuple[NDArray, ...], first: tuple[NDArray, ...] | None
) -> tuple[NDArray, ...]:
    if first is not None and read[1].shape != first[1].shape:
        raise UserError(
            f"{path}: its slices are not as large as those of other runs; evaluate the run again"
        )
    return read


def _dice(found: Results, run: Run, case: str) -> float:
    """Dice of the case by a run; NaN if it has none."""
    cell = (run.name, budget_text(run.budget), run.subset, run.seed)
    return float(found.dice_of_cases.get((*cell, case), np.nan))


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
        for line in find_contours(mask, 0.5):
            points = [f"{x - 0.5:g} {height - (y - 0.5):g}" for y, x in line]
            yield f"M{'L'.join(points[:-1])}Z"
