"""Pancreas-CT as MC-Net, CoraNet and MCF store it: one HDF5 file a case, of two preparations.

The scans are those of ``pancreas_ct``. A file's name says whose it is; below the folder, at any
depth:

- ``image<number>_norm.h5`` (MC-Net): 1 mm, window -125..275 HU, cropped to 25 voxels around the
  reference label in x and y, zero mean and unit variance.
- ``<number>.h5`` (CoraNet; BCP and others): the same window, scaled to 0..1, cropped to 25 voxels
  around the label. Its script takes the voxel size in the plane for that across it, so that slices
  were not resampled to 1 mm: the voxel size is not known.
- ``PANCREAS_<number>.h5`` (MCF): of no stated preparation and voxel size.

The published lists are no partition of one another: three cases that MC-Net tests are tested by
CoraNet too, and the others of either's test set are training cases of the other.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Literal

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Source,
    check_all_used,
    load_hdf5,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import Sides, published_sides, read_lists, sides_of
from ssl_methods.errors import UserError

Files = Literal["mc_net", "coranet", "mcf"]

NAMES: dict[Files, re.Pattern[str]] = {
    "mc_net": re.compile(r"image(\d{4})_norm\.h5"),
    "coranet": re.compile(r"(\d{4})\.h5"),
    "mcf": re.compile(r"PANCREAS_(\d{4})\.h5"),
}
LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("train.list",), "test.list"),
    (("train_lab.txt", "train_unlab.txt"), "test.txt"),
)
ENTRY = re.compile(r"(?:image|PANCREAS_)?(\d{4})(?:_norm)?(?:\.h5)?")
LAYOUT = (
    "a case is image<number>_norm.h5, <number>.h5 or PANCREAS_<number>.h5, its number in a list"
)


class PancreasCTH5Dataset(DatasetBase):
    """Pancreas-CT as MC-Net, CoraNet and MCF store it: image<number>_norm.h5 or <number>.h5."""

    importer: Literal["pancreas_ct_h5"]
    split: Literal["listed", "mc_net", "coranet", "mcf"] = setting(
        "listed",
        "the lists of the folder (train.list and test.list, or train_lab.txt, train_unlab.txt and "
        "test.txt), or published ones (configs/splits/pancreas_ct_*.yaml)",
    )
    fold: int = setting(0, "which fold of MCF is tested", ge=0, le=3)
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "none",
        "how intensities are scaled; the files are already scaled, each kind in its way",
        source="MC-Net, CoraNet code",
    )
    source_crop_used_label: bool = setting(
        True, "whether the files were cropped around the reference label, test scans too"
    )


def read(dataset: PancreasCTH5Dataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    kind, scans = _scans(folder, files)
    lists = [file for file in files.files if file.suffix in (".list", ".txt")]
    sides = _sides(dataset, lists, folder)
    used = {scans[case] for case in sides.split if case in scans} | {*lists}
    place = next(iter(scans.values())).parent
    faults = sides.absent(scans, lambda case: place / _file_name(kind, case))
    check_all_used(faults, files.unused(used), LAYOUT)
    spacing = (1.0, 1.0, 1.0) if kind == "mc_net" else None
    cases = [
        RawCase(case, side, True, partial(load_hdf5, scans[case], spacing))
        for case, side in sides.split.items()
    ]
    remarks = [f"files of {kind}, named {NAMES[kind].pattern}"]
    if kind == "coranet":
        remarks.append("slices were not resampled to 1 mm, though x and y were")
    ignored = tuple(files.ignored)
    return Source(cases, {1: "pancreas"}, tuple(remarks), ignored, may_crash=True)


def _scans(folder: Path, files: Listing) -> tuple[Files, dict[str, Path]]:
    """Whose files they are, and each by its case's id. Raises UserError unless all are of one."""
    found: dict[Files, dict[str, Path]] = {}
    for file in files.files:
        for kind, name in NAMES.items():
            if number := name.fullmatch(file.name):
                found.setdefault(kind, {})[case_id(number[1])] = file
    if len(found) != 1:
        what = " and ".join(found) or "none"
        raise UserError(
            f"{folder}: one kind of files is needed ({LAYOUT}); found {what}: name those of the "
            "others in dataset.ignore"
            if found
            else f"{folder}: holds no case ({LAYOUT})"
        )
    return next(iter(found.items()))


def _sides(dataset: PancreasCTH5Dataset, lists: list[Path], folder: Path) -> Sides:
    if dataset.split != "listed":
        fold = dataset.fold if dataset.split == "mcf" else None
        name = f"pancreas_ct_{dataset.split}"
        return published_sides(name, fold, lambda number: [case_id(f"{number:04d}")])
    named = {file.name: file for file in lists}
    for train, test in LISTS:
        if named.keys() >= {*train, test}:
            return sides_of(
                read_lists([named[name] for name in train], _entry),
                read_lists([named[test]], _entry),
            )
    expected = " or ".join(", ".join((*train, test)) for train, test in LISTS)
    raise UserError(
        f"{folder}: has no lists ({expected}); set dataset.split: mc_net, coranet or mcf to take "
        "published ones"
    )


def _entry(line: str) -> str:
    """The id of a line, image0001 or 0001.h5; of another line itself, which names no file."""
    number = ENTRY.fullmatch(line)
    return case_id(number[1]) if number else line


def case_id(number: str) -> str:
    """The id that ``pancreas_ct`` gives the same case."""
    return f"PANCREAS_{number}"


def _file_name(kind: Files, case: str) -> str:
    return NAMES[kind].pattern.replace(r"(\d{4})", case[-4:]).replace("\\", "")
