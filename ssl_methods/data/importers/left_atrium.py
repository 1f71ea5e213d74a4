"""The 2018 Atrial Segmentation Challenge set in the form that UA-MT, DTC and their peers share.

``<id>/mri_norm2.h5`` with ``image`` (x, y, z) and ``label``, and ``train.list`` / ``test.list`` of
ids. The files hold no voxel size: 0.625 mm isotropic is that of the challenge (Xiong et al.,
"A global benchmark of algorithms for segmenting the left atrium from late gadolinium-enhanced
cardiac magnetic resonance imaging", Medical Image Analysis 67, 2021), which were not resampled.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ssl_methods.config import LeftAtriumDataset
from ssl_methods.data.importers import (
    RawCase,
    Scan,
    Source,
    raise_faults,
    read_id_list,
    source_folder,
)
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    import h5py

SPACING_MM = (0.625, 0.625, 0.625)
SCAN = "mri_norm2.h5"


def read(dataset: LeftAtriumDataset) -> Source:
    folder = source_folder(dataset)
    cases = _listed(folder, "train")
    if (folder / "test.list").exists():
        cases += _listed(folder, "test")
    return Source(cases, {1: "left atrium"})


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
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for key in ("image", "label"):
                if key not in file:
                    raise UserError(f"{path}: has no '{key}' (keys: {', '.join(file)})")
                check_own(path, file, key)
            image, label = file["image"][()], file["label"][()]
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read, it may be truncated ({error})") from None
    if np.ndim(image) != 3 or np.shape(image) != np.shape(label):
        raise UserError(
            f"{path}: image {np.shape(image)} and label {np.shape(label)} differ in shape"
        )
    return Scan(np.asarray(image, dtype=np.float32)[np.newaxis], label, SPACING_MM, None)


def check_own(path: Path, file: h5py.File, key: str) -> None:
    """An HDF5 file can name other files as its content. Raises UserError if this one does."""
    import h5py

    own_link = isinstance(file.get(key, getlink=True), h5py.HardLink)
    item = file[key] if own_link else None
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
        raise UserError(f"{path}: '{key}' is not an array within the file")
