"""Stain normalisation in pictures: tiles raw and normalised, and Dice by laboratory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ssl_methods.reporting.looks import Look, label, methods_of
from ssl_methods.reporting.panels import budgets, head_grid, labeled_text, top_legend
from ssl_methods.reporting.style import DOUBLE

STAINS = {
    "none": Look("#6e6e6e", "o"),
    "macenko": Look("#0072b2", "D"),
    "reinhard": Look("#e69f00", "s"),
}
NAMES = {"none": "raw colours", "macenko": "Macenko", "reinhard": "Reinhard"}


class Tile(NamedTuple):
    """One tile: stain ('none' for raw) -> RGB of 0..255, (3, x, y); and its stain vectors.

    ``found``: stain -> (2, 3), hematoxylin and eosin, as Macenko's method sees them; ``known``: as
    the tile was made, None for a real one.
    """

    name: str
    images: Mapping[str, NDArray]
    found: Mapping[str, NDArray]
    known: NDArray | None


def stain_tiles(tiles: list[Tile]) -> Figure:
    """A column per tile, a row per stain; below, the vectors before and after Macenko's method."""
    stains = [stain for stain in STAINS if any(stain in tile.images for tile in tiles)]
    size = DOUBLE / len(tiles)
    figure = Figure(figsize=(DOUBLE, size * len(stains) + 2.9))
    upper, lower = figure.subfigures(2, 1, height_ratios=[size * len(stains), 2.6])
    axes = upper.subplots(len(stains), len(tiles), squeeze=False)
    for row, stain in zip(axes, stains, strict=True):
        row[0].set_ylabel(NAMES[stain])
        for axis, tile in zip(row, tiles, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if stain not in tile.images:
                axis.remove()
            else:
                pixels = np.asarray(tile.images[stain]).transpose(2, 1, 0).astype(np.uint8)
                axis.imshow(pixels, origin="lower", interpolation="none")
    for axis, tile in zip(axes[0], tiles, strict=True):
        axis.set_title(tile.name)
    before, after = lower.subplots(1, 2, sharex=True, sharey=True)
    _vectors(before, tiles, "none")
    _vectors(after, tiles, "macenko")
    before.set_ylabel("optical density, blue")
    for marker, meaning in (("o", "hematoxylin"), ("s", "eosin or DAB"), ("x", "as it was made")):
        before.plot([], [], marker, color="#444444", linestyle="none", label=meaning)
    handles, names = before.get_legend_handles_labels()
    lower.legend(handles, names, loc="outside right center")
    return figure


def _vectors(axis: Axes, tiles: list[Tile], stain: str) -> None:
    """Filled: as found; a cross: as the tile was made. Circles hematoxylin, squares eosin."""
    axis.set_title(f"stain vectors, {NAMES[stain]}")
    axis.set_xlabel("optical density, red")
    for number, tile in enumerate(tiles):
        colour = f"C{number}"
        if stain in tile.found:
            for vector, marker in zip(tile.found[stain], "os", strict=True):
                name = tile.name.replace("\n", ", ") if marker == "o" else None
                axis.plot(
                    vector[0], vector[2], marker, color=colour, label=name, alpha=0.8,
                    linestyle="none",
                )  # fmt: skip
        if stain == "none" and tile.known is not None:
            axis.plot(tile.known[:, 0], tile.known[:, 2], "x", color=colour, markersize=7)


def dice_by_laboratory(table: pd.DataFrame, kinds: Mapping[str, str]) -> Figure:
    """Mean Dice per laboratory with 95 % intervals: a panel per method, a row per budget.

    Args:
        table: what ``analysis.stains.stain_effect`` gives.
        kinds: laboratory -> what its training tiles were, written once below neighbours.
    """
    methods, texts = list(methods_of(table)), budgets(table)
    places = list(dict.fromkeys(table["laboratory"]))
    stains = [stain for stain in STAINS if (table["stain"] == stain).any()]
    figure = Figure(figsize=(DOUBLE, 0.4 + 2.4 * len(texts)))
    axes = figure.subplots(len(texts), len(methods), sharex=True, sharey=True, squeeze=False)
    for row, budget in zip(axes, texts, strict=True):
        for axis, method in zip(row, methods, strict=True):
            axis.grid(visible=False, axis="x")
            for number, stain in enumerate(stains):
                own = table[(table["method"] == method) & (table["budget"] == budget)]
                own = own[own["stain"] == stain].dropna(subset=["dice"])
                shift = 0.24 * (number - (len(stains) - 1) / 2)
                x = own["laboratory"].map(places.index).to_numpy(float) + shift
                if len(own):
                    _points(axis, x, own, stain)
    centres, named = [], []
    for kind, group in groupby(range(len(places)), key=lambda place: kinds.get(places[place], "")):
        centres.append(float(np.mean(list(group))))
        named.append(kind)
    for axis in axes[-1]:
        axis.xaxis.remove_overlapping_locs = False  # a kind of one laboratory is right below it
        axis.set_xticks(range(len(places)), places)
        axis.set_xticks(centres, named, minor=True, fontsize=6)
        axis.tick_params(axis="x", which="minor", length=0, pad=14)
    names = [f"Dice (%), {labeled_text(text)}" for text in texts.values()]
    head_grid(axes, [label(method) for method in methods], names)
    top_legend(figure)
    return figure


def _points(axis: Axes, x: NDArray, own: pd.DataFrame, stain: str) -> None:
    mean, low, high = (
        own[name].to_numpy(float) * 100 for name in ("dice", "dice_low", "dice_high")
    )
    look = STAINS[stain]
    axis.errorbar(
        x, mean, [mean - low, high - mean], fmt=look.marker, color=look.colour, label=NAMES[stain],
        elinewidth=0.8, markersize=3.5, markeredgecolor="white", markeredgewidth=0.4,
    )  # fmt: skip
