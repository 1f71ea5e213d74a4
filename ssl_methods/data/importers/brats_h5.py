"""BraTS 2019 as SSL4MIS stores it and its peers share it: FLAIR of 335 brains, the whole tumour.

Bakas et al., "Identifying the best machine learning algorithms for brain tumor segmentation,
progression assessment, and overall survival prediction in the BRATS challenge", 2018.
``data/<id>.h5`` with ``image``, cropped to the brain, its non-zero voxels scaled to zero mean and
unit variance, and ``label`` 0 or 1; ``train.txt``, ``val.txt`` and ``test.txt`` of ids, each up to
a comma. The files hold no voxel size: the challenge's scans have 1 mm, and were not resampled.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from ssl_methods.config import DatasetBase, ListSettings, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Source,
    check_all_used,
    load_hdf5,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import published_sides, sides_of_folder

SPACING_MM = (1.0, 1.0, 1.0)
LISTS = ("train.txt", "val.txt", "test.txt")
LAYOUT = "a case is data/<id>.h5, its id in train.txt, val.txt or test.txt"


class BratsH5Dataset(DatasetBase, ListSettings):
    """BraTS 2019 as SSL4MIS stores it: data/<id>.h5, train.txt, val.txt and test.txt."""

    importer: Literal["brats_h5"]
    split: Literal["listed", "ssl4mis"] = setting(
        "listed",
        "the lists of the folder, or those that SSL4MIS and its peers share "
        "(configs/splits/brats_2019_ssl4mis.yaml); the cases of val.txt are left out",
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "none",
        "how intensities are scaled; the files' non-zero voxels are already z-scored",
        source="SSL4MIS code",
    )


def read(dataset: BratsH5Dataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    if dataset.split == "ssl4mis":
        sides = published_sides("brats_2019_ssl4mis")
    else:
        train, validation, test = (folder / name for name in LISTS)
        sides = sides_of_folder([train], [test], [validation], dataset, up_to_comma)
    listed = {case: folder / "data" / f"{case}.h5" for case in (*sides.split, *sides.left_out)}
    there = {case for case, file in listed.items() if file.is_file()}
    used = {folder / name for name in LISTS} | {*listed.values()}
    check_all_used(sides.absent(there, listed.__getitem__), files.unused(used), LAYOUT)
    cases = [
        RawCase(case, side, True, partial(load_hdf5, listed[case], SPACING_MM))
        for case, side in sides.split.items()
    ]
    ignored = tuple(files.ignored)
    return Source(cases, {1: "whole tumour"}, sides.remarks, ignored, may_crash=True)


def up_to_comma(line: str) -> str:
    """The id of a line, as the field's code reads it."""
    return line.split(",")[0].strip()
