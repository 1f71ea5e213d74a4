"""A contact sheet: one slice of each case, with the outlines of its label."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.geometry import axis_codes
from ssl_methods.data.store import CaseRecord, Store
from ssl_methods.files import write_with

MOST_CASES, COLUMNS = 24, 6
SIDE, TITLE, GAP = 190, 28, 5  # pixels: of a slice, of the two lines above it, between slices
LINE, LETTER = 18, 7  # pixels: height of a line of names, width of a letter
COLOURS = ((255, 127, 14), (31, 119, 180), (44, 160, 44), (214, 39, 40), (148, 103, 189))


def write_contact_sheet(store: Store, path: Path) -> None:
    """Draw up to 24 cases, spread evenly over the store, as PNG.

    A slice lies across the last axis, where it shows most classes, or in the middle of the volume.
    Where a scan says how its axes lie, anterior (or superior) is up, and the right of the body left
    (or anterior). Below stands the colour of each class.
    """
    from PIL import Image, ImageDraw

    cases = list(store.manifest.cases)
    places = np.unique(np.linspace(0, len(cases) - 1, MOST_CASES).round().astype(int))
    columns, rows = min(COLUMNS, len(places)), -(-len(places) // COLUMNS)
    width, height = SIDE + 2 * GAP, SIDE + TITLE + 2 * GAP
    names = _lines_of_names(store.classes, columns * width)
    sheet = Image.new("RGB", (columns * width, rows * height + LINE * len(names)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, place in enumerate(places):
        case = cases[place]
        row, column = divmod(number, columns)
        corner = (column * width + GAP, row * height + GAP)
        side = "test" if case.split == "test" else "labeled" if case.labeled else "unlabeled"
        name = case.id[-28:].encode("ascii", "replace").decode()
        pen.text(corner, f"{name}\n{side}", fill="black", spacing=2)
        slice_ = Image.fromarray(_drawn(store, case))
        sheet.paste(slice_, (corner[0], corner[1] + TITLE))
    for number, line in enumerate(names):
        for x, name, colour in line:
            pen.text((x, rows * height + LINE * number), name, fill=colour)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_with(path, lambda file: file.write(content.getvalue()))


def _lines_of_names(
    classes: Sequence[str], width: int
) -> list[list[tuple[int, str, tuple[int, int, int]]]]:
    """Place, name and colour of each class, in lines of at most ``width`` pixels."""
    lines: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    x = GAP
    for number, full in enumerate(classes):
        name = full.encode("ascii", "replace").decode()
        if lines[-1] and x + LETTER * len(name) > width:
            lines.append([])
            x = GAP
        lines[-1].append((x, name, COLOURS[number % len(COLOURS)]))
        x += LETTER * (len(name) + 3)
    return lines


def _drawn(store: Store, case: CaseRecord) -> NDArray[np.uint8]:
    """(rows, columns, 3): the slice at its true proportions, if the voxel size is known."""
    image = store.image(case.id)
    label = store.label(case.id) if case.labeled else None
    if image.ndim == 4:
        at = _place(label) if label is not None else image.shape[-1] // 2
        image, label = image[..., at], None if label is None else label[..., at]
    lengths = np.multiply(image.shape[1:], (case.spacing or (1.0, 1.0))[:2])
    size = np.maximum(1, (SIDE * lengths / lengths.max()).astype(int))
    x, y = (np.arange(n) * side // n for n, side in zip(size, image.shape[1:], strict=True))
    picture = _visible(image[:, x][:, :, y])
    if label is not None:
        label = label[x][:, y]
        for value in range(len(store.classes), 0, -1):  # the first class on top
            picture[_outline(label == value)] = COLOURS[(value - 1) % len(COLOURS)]
    axes = "LA" if case.affine is None else axis_codes(np.array(case.affine))
    leftwards, downwards = axes[0] in "RA", axes[1] in "PI"  # in the picture
    rows = picture.transpose(1, 0, 2)[:: 1 if downwards else -1, :: -1 if leftwards else 1]
    return np.ascontiguousarray(rows)


def _place(label: NDArray[np.uint8]) -> int:
    """Along the last axis: the middle one of the slices that show most classes."""
    others = tuple(range(label.ndim - 1))
    classes = np.sum([(label == value).any(axis=others) for value in np.unique(label) if value], 0)
    if not np.any(classes):
        return label.shape[-1] // 2
    most = np.flatnonzero(classes == np.max(classes))
    return int(most[len(most) // 2])


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that have a neighbour outside it."""
    wide = np.pad(mask, 1, mode="edge")
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~inner


def _visible(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(x, y, 3) in 0..255: of three channels as colours, else of the first."""
    shown = image if len(image) == 3 else image[:1].repeat(3, axis=0)
    low, high = np.percentile(shown, (1, 99))
    scaled = (shown - low) / max(float(high - low), 1e-6)
    return np.ascontiguousarray((scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
