"""The 2018 Atrial Segmentation Challenge set in the form that UA-MT, DTC and their peers share.

``<id>/mri_norm2.h5`` with ``image`` (x, y, z) and ``label``, at any depth, and ``train.list`` /
``test.list`` of ids. The files hold no voxel size: 0.625 mm isotropic is that of the challenge
(Xiong et al., "A global benchmark of algorithms for segmenting the left atrium from late
gadolinium-enhanced cardiac magnetic resonance imaging", Medical Image Analysis 67, 2021), which
were not resampled. MCF's five folds are those of configs/splits/left_atrium_mcf.yaml.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Scan,
    Source,
    check_all_used,
    load_hdf5,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import published_sides, read_lists, sides_of

SPACING_MM = (0.625, 0.625, 0.625)
SCAN = "mri_norm2.h5"
LAYOUT = f"a scan is <id>/{SCAN}, its id in a list"


class LeftAtriumDataset(DatasetBase):
    """<id>/mri_norm2.h5 with train.list and test.list, as UA-MT, DTC and their peers use it."""

    importer: Literal["left_atrium"]
    split: Literal["listed", "mcf"] = setting(
        "listed",
        "train.list and test.list of the folder, or a fold of MCF "
        "(configs/splits/left_atrium_mcf.yaml)",
    )
    fold: int = setting(0, "which fold of MCF is tested", ge=0, le=4)
    source_crop_used_label: bool = setting(
        True,
        "whether the files were cropped around the reference label, as the field's were, test "
        "scans too",
    )


def read(dataset: LeftAtriumDataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    lists = [folder / "train.list", folder / "test.list"]
    if dataset.split == "mcf":
        sides = published_sides("left_atrium_mcf", dataset.fold)
        lists += [file for file in files.files if file.suffix == ".list"]  # MCF's Flods/
    else:
        sides = sides_of(read_lists(lists[:1]), read_lists([it for it in lists[1:] if it.exists()]))
    scans = {file.parent.name: file for file in files.files if file.name == SCAN}
    faults = sides.absent(scans, lambda case_id: folder / case_id / SCAN)
    used = {scans[case_id] for case_id in sides.split if case_id in scans}
    check_all_used(faults, files.unused({*lists, *used}), LAYOUT)
    cases = [
        RawCase(case_id, split, True, partial(load, scans[case_id]))
        for case_id, split in sides.split.items()
    ]
    return Source(cases, {1: "left atrium"}, ignored=tuple(files.ignored), may_crash=True)


def load(path: Path) -> Scan:
    """One scan. Raises UserError naming the file if it is broken or a key is missing."""
    return load_hdf5(path, SPACING_MM)
