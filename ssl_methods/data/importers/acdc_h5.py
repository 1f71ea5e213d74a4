"""ACDC as SSL4MIS stores it and its peers share it: 200 cardiac MR volumes of 100 patients.

Bernard et al., "Deep learning techniques for automatic MRI cardiac multi-structures segmentation
and diagnosis: is the problem solved?", IEEE TMI 37(11), 2018. ``data/<case>.h5`` with ``image``
(z, y, x), scaled to 0..1 per volume, and ``label`` 0..3, and lists of cases, which are
``patientNNN_frameMM``: frame 01 is the earlier one of a patient's two, 02 the later one. The
slices of ``data/slices`` are the same voxels again and are not read.

The files hold no voxel size, and none is made up: distances are then measured in voxels alone. It
is read from the original headers, if the challenge's ``patientNNN_frameMM.nii.gz`` lie anywhere
below the folder; of a patient's two frames the earlier one is 01.
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
    load_hdf5,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import Sides, published_sides, sides_of_folder
from ssl_methods.errors import UserError

CASE = re.compile(r"(patient\d+)_frame(\d+)")
SLICE = re.compile(r"(patient\d+_frame\d+)_slice_\d+\.h5")
FRAME = re.compile(r"(patient\d+)_frame\d+\.nii(\.gz)?")
BYCATCH = re.compile(r"patient\d+_(frame\d+_gt|4d)\.nii(\.gz)?|Info\.cfg|.*_slices\.list")
LISTS = ("train.list", "val.list", "test.list")
LAYOUT = "a case is data/<case>.h5, its name in train.list, val.list or test.list"
CLASSES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}


class AcdcH5Dataset(DatasetBase, ListSettings):
    """ACDC as SSL4MIS stores it: data/patientNNN_frameMM.h5, train.list, val.list and test.list."""

    importer: Literal["acdc_h5"]
    split: Literal["listed", "ssl4mis"] = setting(
        "listed",
        "the lists of the folder, or those that SSL4MIS and its peers share "
        "(configs/splits/acdc_ssl4mis.yaml); the cases of val.list are left out",
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "none",
        "how intensities are scaled; the files are already scaled to 0..1",
        source="SSL4MIS code",
    )


def read(dataset: AcdcH5Dataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    sides = _sides(dataset, folder)
    listed = {case: folder / "data" / f"{case}.h5" for case in (*sides.split, *sides.left_out)}
    faults = [
        f"{sides.named_by[case]}: '{case}' is no case's name, patientNNN_frameMM"
        for case in listed
        if not CASE.fullmatch(case)
    ]
    there = {case for case, file in listed.items() if file.is_file() or not CASE.fullmatch(case)}
    faults += sides.absent(there, listed.__getitem__)
    headers = _headers(files)
    used = {folder / name for name in LISTS} | {*listed.values()}
    used |= {header for of_patient in headers.values() for header in of_patient}
    used |= {file for file in files.files if BYCATCH.fullmatch(file.name) or _sliced(file, listed)}
    check_all_used(faults, files.unused(used), LAYOUT)
    cases = []
    for case, side in sides.split.items():
        patient, frame = CASE.fullmatch(case).groups()  # type: ignore[union-attr]
        originals = headers.get(patient, [])
        header = originals[int(frame) - 1] if 0 < int(frame) <= len(originals) else None
        cases.append(RawCase(case, side, True, partial(load, listed[case], header), patient))
    remarks = (*sides.remarks, *(["voxel sizes are of the original headers"] if headers else []))
    return Source(cases, CLASSES, remarks, ignored=tuple(files.ignored), may_crash=True)


def _sides(dataset: AcdcH5Dataset, folder: Path) -> Sides:
    if dataset.split == "ssl4mis":
        return published_sides("acdc_ssl4mis", ids_of=both_frames)
    train, validation, test = (folder / name for name in LISTS)
    return sides_of_folder([train], [test], [validation], dataset)


def both_frames(patient: int) -> list[str]:
    return [f"patient{patient:03d}_frame{frame}" for frame in ("01", "02")]


def _headers(files: Listing) -> dict[str, list[Path]]:
    """The original frames of each patient, in their order in time."""
    found: dict[str, list[Path]] = {}
    for file in sorted(files.files, key=lambda it: it.name):
        if frame := FRAME.fullmatch(file.name):
            found.setdefault(frame[1], []).append(file)
    return found


def _sliced(file: Path, listed: dict[str, Path]) -> bool:
    """Is it a slice of a case that is listed?"""
    found = SLICE.fullmatch(file.name)
    return file.parent.name == "slices" and found is not None and found[1] in listed


def load(path: Path, header: Path | None) -> Scan:
    """One volume, (x, y, z); its voxel size is the header's, or None.

    Raises UserError for a broken file, or a header of a scan of another shape.
    """
    scan = load_hdf5(path, None, backwards=True)
    if header is None:
        return scan
    from ssl_methods.data.volumes import read_volume

    original = read_volume(header)
    if original.image.shape != scan.image.shape:
        raise UserError(
            f"{header}: is {original.image.shape[1:]}, and {path.name}, which should be the same "
            f"scan, {scan.image.shape[1:]}"
        )
    return scan._replace(spacing=original.spacing)
