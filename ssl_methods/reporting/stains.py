"""What stain normalisation does, over experiments that differ in it alone.

    python -m ssl_methods.reporting.stains histology histology_macenko histology_reinhard

In: `results/<experiment>/` of each after its tables are made; the first names the folder that is
written to. Out: `tables/stains.csv` (and .md, .tex), `figures/stain_dice` and `figures/stain_tiles`
(.pdf and .png). The last column of the tiles is a real picture where scikit-image is installed.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.collect import metric_columns, read_cases, write_shown
from ssl_methods.analysis.stains import ALL, NOTE, laboratory, shown_stains, stain_effect
from ssl_methods.analysis.table_files import write_table
from ssl_methods.analysis.tables import with_class_mean
from ssl_methods.config import Experiment, StainSettings, load_experiment
from ssl_methods.data.importers.base import RawCase
from ssl_methods.data.importers.phantom_histology import PhantomHistologyDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.phantoms.laboratory import LABORATORIES, stain_vectors, towards
from ssl_methods.data.stains import StainNormaliser, stain_normaliser
from ssl_methods.data.stains import stain_vectors as found_vectors
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.reporting.saving import save
from ssl_methods.reporting.stain_figures import Tile, dice_by_laboratory, stain_tiles
from ssl_methods.reporting.style import RC

logger = logging.getLogger(__name__)

REAL = "real: IHC"
"""scikit-image's `immunohistochemistry`: colonic glands, hematoxylin and DAB; Center for Microscopy
and Molecular Imaging (CMMI); no known copyright restrictions."""
REAL_PIXELS = 192


def compare_stains(names: list[str], results: Path) -> Path:
    """Write the table and the figures; returns the folder of the first experiment.

    Raises UserError if an experiment has no tables, or differs from the first in more than the
    stain.
    """
    experiments = by_stain(names, results)
    folder = results / names[0]
    table = stain_effect({stain: _cases(results / e.name) for stain, e in experiments.items()})
    write_table(folder / "tables" / "stains.csv", table)
    write_shown(folder / "tables" / "stains", shown_stains(table), NOTE)
    stores = {
        stain: Store.open(store_folder(e.dataset, results)) for stain, e in experiments.items()
    }
    kinds = training_of(next(iter(stores.values())))
    with mpl.rc_context(RC):
        save(dice_by_laboratory(table, kinds), folder / "figures", "stain_dice")
        normalisers = {
            stain: normaliser
            for stain, e in experiments.items()
            if (normaliser := stain_normaliser(stores[stain], e.dataset)) is not None
        }
        tiles = [*laboratory_tiles(experiments, normalisers), *real_tile(normalisers)]
        save(stain_tiles(tiles), folder / "figures", "stain_tiles")
    return folder


def by_stain(names: list[str], results: Path) -> dict[str, Experiment]:
    """The experiments by their stain, raw colours first. Raises UserError if they do not pair."""
    if not names:
        raise UserError("name the experiments, e.g. histology histology_macenko")
    found: dict[str, Experiment] = {}
    for name in names:
        experiment = load_experiment(results / name / "experiment.yaml")
        if not isinstance(experiment.dataset, StainSettings):
            raise UserError(f"{name}: its data set ({experiment.dataset.importer}) has no stain")
        stain = experiment.dataset.stain
        if stain in found:
            raise UserError(f"{name} and {found[stain].name}: have the same stain ({stain})")
        found[stain] = experiment
    first, *others = found.values()
    for other in others:
        differing = [
            key for key in _settings(first) if _settings(first)[key] != _settings(other)[key]
        ]
        if differing:
            raise UserError(
                f"{other.name}: differs from {first.name} in more than the stain: "
                f"{', '.join(differing)}"
            )
    return dict(sorted(found.items(), key=lambda item: item[0] != "none"))


def _settings(experiment: Experiment) -> dict[str, Any]:
    """What must be equal: all but names, the stain and its reference."""
    settings = experiment.model_dump(mode="json", exclude={"name", "description"})
    for key in ("stain", "stain_reference"):
        settings["dataset"].pop(key)
    return settings


def _cases(folder: Path) -> pd.DataFrame:
    cases = read_cases(folder / "tables" / "cases.csv")
    return with_class_mean(cases, metric_columns(cases))


def training_of(store: Store) -> dict[str, str]:
    """Laboratory -> 'labeled', 'unlabeled' or 'unseen': what training was given of it."""
    kinds = {laboratory(case): "unseen" for case in store.cases}
    for case in store.manifest.cases:
        if case.split == "train" and kinds[laboratory(case.id)] != "labeled":
            kinds[laboratory(case.id)] = "labeled" if case.labeled else "unlabeled"
    return kinds | {ALL: ""}


# ---- tiles ---------------------------------------------------------------------------------------


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
            firsts.setdefault(laboratory(case.id), case)
    return [
        tile(name, case.load().image, normalisers, known.get(name)) for name, case in firsts.items()
    ]


def real_tile(normalisers: dict[str, StainNormaliser]) -> list[Tile]:
    """The middle of scikit-image's picture; none, and a line that says so, without the package."""
    try:
        from skimage.data import immunohistochemistry
    except ImportError:
        logger.warning("scikit-image is not installed: the figure has no real picture")
        return []
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
        print(compare_stains(sys.argv[1:], Path("results")))
    except UserError as error:
        sys.exit(f"error: {error}")
