"""A contact sheet: one slice of each case, with the outlines of its label."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.store import CaseRecord, Store
from ssl_methods.files import write_with

MOST_CASES, COLUMNS = 24, 6
LARGEST = 192  # pixels of a slice's side


def write_contact_sheet(store: Store, path: Path) -> None:
    """Draw up to 24 cases, spread evenly over the store, as PNG.

    A slice lies across the last axis, through the middle of the foreground, or of the volume.
    """
    from matplotlib.figure import Figure

    cases = list(store.manifest.cases)
    places = np.unique(np.linspace(0, len(cases) - 1, MOST_CASES).round().astype(int))
    chosen = [cases[place] for place in places]
    rows = -(-len(chosen) // COLUMNS)
    columns = min(COLUMNS, len(chosen))
    figure = Figure(figsize=(2 * columns, 2.2 * rows), dpi=100)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.3 / (2.2 * rows), 0.05, 0.25)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, case in zip(axes, chosen, strict=False):
        _draw(ax, store, case)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_with(path, lambda file: file.write(content.getvalue()))


def _draw(ax: Any, store: Store, case: CaseRecord) -> None:
    image = store.image(case.id)
    label = store.label(case.id) if case.labeled else None
    if image.ndim == 4:
        at = _middle(label) if label is not None else image.shape[-1] // 2
        image, label = image[..., at], None if label is None else label[..., at]
    step = max(1, -(-max(image.shape[1:]) // LARGEST))
    image = image[:, ::step, ::step]
    shape = image.shape[1] * case.spacing[0], image.shape[2] * case.spacing[1]
    extent = (0.0, shape[0], 0.0, shape[1])
    ax.imshow(_visible(image), cmap="gray", origin="lower", extent=extent)
    if label is not None:
        label = label[::step, ::step]
        for value in range(len(store.classes), 0, -1):  # the first class on top
            mask = label == value
            if mask.any() and not mask.all():
                colour = f"C{(value - 1) % 10}"
                ax.contour(
                    mask.T, [0.5], colors=[colour], linewidths=0.8, origin="lower", extent=extent
                )
    side = "test" if case.split == "test" else "labeled" if case.labeled else "unlabeled"
    ax.set_title(f"{case.id[-24:]}\n{side}", fontsize=6, parse_math=False)


def _middle(label: NDArray[np.uint8]) -> int:
    """The slice in the middle of the foreground, along the last axis."""
    inside = np.flatnonzero((label > 0).any(axis=tuple(range(label.ndim - 1))))
    return int(inside[len(inside) // 2]) if len(inside) else label.shape[-1] // 2


def _visible(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x), or (y, x, 3) of three channels, within 0..1."""
    low, high = np.percentile(image, (1, 99))
    scaled = ((image - low) / max(float(high - low), 1e-6)).clip(0, 1)
    picture: NDArray[np.float32] = scaled.transpose(2, 1, 0) if len(image) == 3 else scaled[0].T
    return picture
