"""Abdominal organs as DHC and A&D store them: Synapse (BTCV, 13 organs) and AMOS (15 organs).

DHC: Wang and Li, MICCAI 2023; A&D ("Towards generic semi-supervised framework for volumetric
medical image segmentation"): Wang and Li, NeurIPS 2023. ``npy/<id>_image.npy`` (z, y, x; in HU) and
``npy/<id>_label.npy``, and in ``splits/`` or ``split_txts/`` lists: ``train.txt``, ``eval.txt``,
``test.txt``, and ``labeled_20p.txt`` with ``unlabeled_20p.txt`` and the like, which take the place
of ``train.txt``. The arrays hold no voxel size; those of AMOS, and all of A&D, were resized to one
shape, whatever the scan's.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Literal

from ssl_methods.config import DatasetBase, ListSettings, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Scan,
    Source,
    check_all_used,
    paired,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import sides_of_folder
from ssl_methods.errors import UserError

IMAGE, LABEL = "_image.npy", "_label.npy"
LIST = re.compile(r"(train|eval|test|(un)?labeled_[\w.]+)\.txt")
FOLDERS = ("splits", "split_txts")
LAYOUT = f"a case is npy/<id>{IMAGE} and npy/<id>{LABEL}, its id in a list that is taken"

_COMMON = ("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach")
_ADRENAL = ("right adrenal gland", "left adrenal gland")
ORGANS = {
    "synapse": (
        *_COMMON, "aorta", "inferior vena cava", "portal and splenic veins", "pancreas", *_ADRENAL,
    ),
    "amos": (
        *_COMMON, "aorta", "inferior vena cava", "pancreas", *_ADRENAL, "duodenum", "bladder",
        "prostate or uterus",
    ),
}  # fmt: skip
"""By their label values, from 1 on (DHC's README)."""


class OrgansNpyDataset(DatasetBase, ListSettings):
    """Synapse or AMOS as DHC and A&D store it: npy/<id>_image.npy, _label.npy and lists."""

    importer: Literal["organs_npy"]
    organs: Literal["synapse", "amos"] = setting(..., "whose organs the label values are")
    lists: str | None = setting(
        None,
        "which lists the training cases are of, e.g. 20p: labeled_20p.txt and unlabeled_20p.txt; "
        "none: train.txt",
    )
    clip_values: tuple[float, float] | None = setting(
        (-75.0, 275.0), "window of intensities in HU", source="DHC code"
    )
    clip_percentiles: tuple[float, float] | None = setting(
        (0.0, 100.0), "what is mapped to 0..1: least and most of each scan", source="DHC code"
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "percentile", "how intensities are scaled", source="DHC code"
    )


def read(dataset: OrgansNpyDataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    place = next((folder / it for it in FOLDERS if (folder / it).is_dir()), None)
    if place is None:
        raise UserError(f"{folder}: has no folder {' or '.join(FOLDERS)} with lists of cases")
    parts = ["train"]
    if dataset.lists is not None:
        parts = [f"labeled_{dataset.lists}", f"unlabeled_{dataset.lists}"]
    train = [place / f"{part}.txt" for part in parts]
    sides = sides_of_folder(train, [place / "test.txt"], [place / "eval.txt"], dataset)
    npy = folder / "npy"
    images = {it.name.removesuffix(IMAGE): it for it in files.files if it.name.endswith(IMAGE)}
    labels = {it.name.removesuffix(LABEL): it for it in files.files if it.name.endswith(LABEL)}
    faults = sides.absent(images, lambda case: npy / f"{case}{IMAGE}")
    unpaired = {case for case in images if case not in labels}
    faults += sides.absent({*sides.split} - unpaired, lambda case: npy / f"{case}{LABEL}")
    named = {*sides.split, *sides.left_out}
    used = {file for file in files.files if file.parent == place and LIST.fullmatch(file.name)}
    used |= {file for of in (images, labels) for case, file in of.items() if case in named}
    check_all_used(faults, files.unused(used), LAYOUT)
    cases = [
        RawCase(case, side, True, partial(load, images[case], labels[case]))
        for case, side in sides.split.items()
    ]
    classes = dict(enumerate(ORGANS[dataset.organs], start=1))
    return Source(cases, classes, sides.remarks, ignored=tuple(files.ignored))


def load(image: Path, label: Path) -> Scan:
    """One case, (x, y, z). Raises UserError naming the label's file if the two differ in shape."""
    from ssl_methods.data.arrays import read_npy

    return paired(label, read_npy(image), read_npy(label), None, backwards=True)
