"""The 2018 Atrial Segmentation Challenge set in the form that UA-MT, DTC and their peers share.

``<id>/mri_norm2.h5`` with ``image`` (x, y, z) and ``label``, and ``train.list`` / ``test.list`` of
ids. The files hold no voxel size: 0.625 mm isotropic is that of the challenge (Xiong et al.,
"A global benchmark of algorithms for segmenting the left atrium from late gadolinium-enhanced
cardiac magnetic resonance imaging", Medical Image Analysis 67, 2021), which were not resampled.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.arrays import read_hdf5
from ssl_methods.data.importers.base import (
    RawCase,
    Scan,
    Source,
    check_all_used,
    check_ids,
    raise_faults,
    read_id_list,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.volumes import whole_numbers
from ssl_methods.errors import UserError

SPACING_MM = (0.625, 0.625, 0.625)
SCAN = "mri_norm2.h5"
LAYOUT = f"a scan is <id>/{SCAN}, its id in train.list or test.list"


class LeftAtriumDataset(DatasetBase):
    """<id>/mri_norm2.h5 with train.list and test.list, as UA-MT, DTC and their peers use it."""

    importer: Literal["left_atrium"]
    source_crop_used_label: bool = setting(
        True,
        "whether the files were cropped around the reference label, as the field's were, test "
        "scans too",
    )


def read(dataset: LeftAtriumDataset) -> Source:
    folder = source_folder(dataset)
    cases = _listed(folder, "train")
    if (folder / "test.list").exists():
        cases += _listed(folder, "test")
    check_ids(dataset, [case.id for case in cases])
    files = Listing(folder, dataset.ignore)
    used = {folder / "train.list", folder / "test.list"}
    used |= {folder / case.id / SCAN for case in cases}
    check_all_used([], files.unused(used), LAYOUT)
    return Source(cases, {1: "left atrium"}, ignored=tuple(files.ignored), may_crash=True)


def _listed(folder: Path, split: Literal["train", "test"]) -> list[RawCase]:
    names = folder / f"{split}.list"
    ids = read_id_list(names)
    if not ids:
        raise UserError(f"{names}: names no case")
    raise_faults(
        f"{names}: case '{case_id}' has no file {folder / case_id / SCAN}"
        for case_id in ids
        if not (folder / case_id / SCAN).is_file()
    )
    return [
        RawCase(case_id, split, True, partial(load, folder / case_id / SCAN)) for case_id in ids
    ]


def load(path: Path) -> Scan:
    """One scan. Raises UserError naming the file if it is broken or a key is missing."""
    image, label = read_hdf5(path, ("image", "label"))
    if np.ndim(image) != 3 or np.shape(image) != np.shape(label):
        raise UserError(
            f"{path}: image {np.shape(image)} and label {np.shape(label)} differ in shape"
        )
    label = whole_numbers(label, path)
    return Scan(np.asarray(image, dtype=np.float32)[np.newaxis], label, SPACING_MM, None)
