"""Stain normalisation in pictures: a tile of each laboratory, raw and normalised, and a real one.

    python examples/stain_tiles.py results/histology/experiment.yaml \\
        results/histology_macenko/experiment.yaml results/histology_reinhard/experiment.yaml

In: experiments whose data are prepared; the first has the raw colours. Out:
`results/<first>/figures/stain_tiles`, .pdf and .png; below the tiles, their stain vectors.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ssl_methods.analysis.compare import group_of
from ssl_methods.config import Experiment, load_experiment
from ssl_methods.data.importers.base import RawCase
from ssl_methods.data.importers.phantom_histology import PhantomHistologyDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.phantoms.laboratory import LABORATORIES, stain_vectors, towards
from ssl_methods.data.stains import StainNormaliser, stain_normaliser
from ssl_methods.data.stains import stain_vectors as found_vectors
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.reporting.style import DOUBLE, RC, save

NAMES = {"none": "raw colours", "macenko": "Macenko", "reinhard": "Reinhard"}
REAL = "real: IHC"
"""scikit-image's `immunohistochemistry`: colonic glands, hematoxylin and DAB; Center for Microscopy
and Molecular Imaging (CMMI); no known copyright restrictions."""
REAL_PIXELS = 192


class Tile(NamedTuple):
    """One tile: stain ('none' for raw) -> RGB of 0..255, (3, x, y); and its stain vectors.

    ``found``: stain -> (2, 3), hematoxylin and eosin, as Macenko's method sees them; ``known``: as
    the tile was made, None for a real one.
    """

    name: str
    images: Mapping[str, NDArray]
    found: Mapping[str, NDArray]
    known: NDArray | None


def draw(files: list[Path], results: Path) -> Path:
    """Write the figure; returns the folder. Raises UserError without prepared data."""
    experiments = {it.dataset.stain: it for it in map(load_experiment, files)}
    normalisers = {}
    for stain, experiment in experiments.items():
        store = Store.open(store_folder(experiment.dataset, results))
        normaliser = stain_normaliser(store, experiment.dataset)
        if normaliser is not None:
            normalisers[stain] = normaliser
    tiles = [*laboratory_tiles(experiments, normalisers), *real_tile(normalisers)]
    folder = results / next(iter(experiments.values())).name / "figures"
    with mpl.rc_context(RC):
        save(stain_tiles(tiles), folder, "stain_tiles")
    return folder


def stain_tiles(tiles: list[Tile]) -> Figure:
    """A column per tile, a row per stain; below, the vectors before and after Macenko's method."""
    stains = [stain for stain in NAMES if any(stain in tile.images for tile in tiles)]
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


def laboratory_tiles(
    experiments: dict[str, Experiment], normalisers: dict[str, StainNormaliser]
) -> list[Tile]:
    """The first test tile of each laboratory, raw and normalised."""
    dataset = next(iter(experiments.values())).dataset
    known: dict[str, NDArray] = {}
    if isinstance(dataset, PhantomHistologyDataset):
        known = {it.name: stain_vectors(towards(it, dataset.difficulty)) for it in LABORATORIES}
    firsts: dict[str, RawCase] = {}
    for case in read_source(dataset).cases:
        if case.split == "test":
            firsts.setdefault(group_of(case.id), case)
    return [
        tile(name, case.load().image, normalisers, known.get(name)) for name, case in firsts.items()
    ]


def real_tile(normalisers: dict[str, StainNormaliser]) -> list[Tile]:
    """The middle of scikit-image's picture, which it may have to load once."""
    from skimage.data import immunohistochemistry

    rows = immunohistochemistry()
    top, left = ((size - REAL_PIXELS) // 2 for size in rows.shape[:2])
    middle = rows[top : top + REAL_PIXELS, left : left + REAL_PIXELS]
    image = np.ascontiguousarray(middle[::-1].transpose(2, 1, 0), dtype=np.float32)
    return [tile(REAL, image, normalisers, None)]


def tile(
    name: str, raw: NDArray, normalisers: dict[str, StainNormaliser], known: NDArray | None
) -> Tile:
    images = {"none": raw} | {stain: normalise(raw) for stain, normalise in normalisers.items()}
    seen = [stain for stain in images if stain in ("none", "macenko")]
    found = {stain: found_vectors(images[stain]).vectors for stain in seen}
    return Tile(name, images, found, known)


if __name__ == "__main__":
    try:
        print(draw([Path(name) for name in sys.argv[1:]], Path("results")))
    except UserError as error:
        sys.exit(f"error: {error}")
