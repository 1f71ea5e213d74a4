"""Pancreas-CT of The Cancer Imaging Archive: 80 (once 82) abdominal CT scans of the NIH.

Roth et al., "DeepOrgan: Multi-level deep convolutional networks for automated pancreas
segmentation", MICCAI 2015. Below the folder, at any depth: ``PANCREAS_<number>/`` with one DICOM
series, and ``label<number>.nii.gz``. Scans 25 and 70 repeat others and were removed from the
archive; papers of 82 cases hold them (MC-Net, issue 6).

A label is turned to the axes of its scan by the headers' orientations, and its place is taken from
the array: what its header says of the origin is compared and told, not used.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase, Lengths, find_config, read_yaml, setting
from ssl_methods.config.base import IN_ORDER
from ssl_methods.data.dicom import read_series
from ssl_methods.data.geometry import grid_difference, turned_to
from ssl_methods.data.importers.base import RawCase, Scan, Source, check_all_used, source_folder
from ssl_methods.data.listing import Listing
from ssl_methods.data.volumes import Volume, read_label_volume
from ssl_methods.errors import UserError

logger = logging.getLogger(__name__)

Splits = dict[int, Literal["train", "test"]]  # by the case's number

SCAN, LABEL = re.compile(r"PANCREAS_\d+"), re.compile(r"label\d+\.nii(\.gz)?")
LAYOUT = "scans are PANCREAS_<number>/**/*.dcm, labels label<number>.nii.gz, of cases of the split"
BYCATCH = ("*metadata.csv",)  # of the archive's own tool for downloads
REPEATED = {25, 70}
SOFT_TISSUE_HU = (-50.0, 250.0)  # the median under a label that lies where it should


class PancreasCTDataset(DatasetBase):
    """Pancreas-CT of TCIA: PANCREAS_<number>/ of DICOM slices and label<number>.nii.gz.

    The defaults are the DTC paper's preparation.
    """

    importer: Literal["pancreas_ct"]
    split: Literal["mc_net", "coranet", "drawn"] = setting(
        "mc_net",
        "whose training and test cases are taken (configs/splits/pancreas_ct_*.yaml), or drawn",
    )
    repeated_scans: bool = setting(
        False,
        "whether PANCREAS_0025 and 0070 are kept, repeats that TCIA removed and papers still used",
    )
    spacing: Lengths | None = setting(
        (1.0, 1.0, 1.0), f"resample to this voxel size in mm, {IN_ORDER}", source="DTC paper"
    )
    clip_values: tuple[float, float] | None = setting(
        (-125.0, 275.0), "window of intensities in HU", source="DTC paper"
    )
    crop: Literal["none", "nonzero", "label"] = setting(
        "label",
        "what scans are cropped to: the bounding box of the reference label, or of the non-zero "
        "image",
        source="DTC paper",
    )
    crop_margin_mm: float = setting(
        25.0, "margin kept around the crop, in mm: 25 voxels of 1 mm", source="DTC paper", ge=0
    )
    test_cases: int | float | None = setting(20, "size of the test set if split is drawn", ge=0)


def read(dataset: PancreasCTDataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, (*dataset.ignore, *BYCATCH))
    faults: list[str] = []
    folders = {path for path in folder.rglob("PANCREAS_*") if path.is_dir()}
    folders |= {scan for file in files.files if (scan := _scan_of(file))}
    scans = _numbered((path for path in folders if SCAN.fullmatch(path.name)), faults)
    labels = _numbered((file for file in files.files if LABEL.fullmatch(file.name)), faults)
    wanted = _listed(dataset.split) if dataset.split != "drawn" else _all(scans)
    left_out: set[int] = set() if dataset.repeated_scans else REPEATED
    wanted = {number: split for number, split in wanted.items() if number not in left_out}
    faults += [
        f"{folder}: case {number} has no {what}{_why(number)}"
        for number in wanted
        for what, found in ((f"folder PANCREAS_{number:04d}", scans), ("label", labels))
        if number not in found and (found is scans or dataset.split != "drawn")
    ]
    taken = {*wanted, *left_out}
    used = {path for number, path in labels.items() if number in taken}
    used |= {
        file
        for file in files.files
        if file.suffix == ".dcm" and (scan := _scan_of(file)) and _number(scan) in taken
    }
    check_all_used(faults, files.unused(used), LAYOUT)
    cases = [
        RawCase(
            f"PANCREAS_{number:04d}",
            split,
            number in labels,
            partial(load, scans[number], labels.get(number)),
        )
        for number, split in wanted.items()
    ]
    return Source(cases, {1: "pancreas"}, ignored=tuple(files.ignored))


def _all(scans: Iterable[int]) -> Splits:
    return {number: "train" for number in sorted(scans)}


def _listed(name: str) -> Splits:
    """Ids of the published lists, in their order."""
    lists = read_yaml(find_config("splits", f"pancreas_ct_{name}"))
    train: Splits = {number: "train" for number in lists["train"]}
    return train | {number: "test" for number in lists["test"]}


def _scan_of(file: Path) -> Path | None:
    """The folder PANCREAS_<number> that a file lies in."""
    return next((it for it in file.parents if SCAN.fullmatch(it.name)), None)


def _numbered(paths: Iterable[Path], faults: list[str]) -> dict[int, Path]:
    """The files by number; two of one number are a fault."""
    found: dict[int, Path] = {}
    for path in sorted(set(paths)):
        if _number(path) in found:
            faults.append(f"{path}: is the second of its number, after {found[_number(path)]}")
        found[_number(path)] = path
    return found


def _number(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.name.split(".")[0])))


def _why(number: int) -> str:
    return "; TCIA removed it: set repeated_scans: false" if number in REPEATED else ""


def load(folder: Path, label_file: Path | None) -> Scan:
    """One case. Raises UserError for a label of another shape, or one that cannot lie there."""
    scan = read_series(series_folder(folder))
    if label_file is None:
        return Scan(scan.image, None, scan.spacing, scan.affine)
    label = on_grid_of(scan, read_label_volume(label_file), label_file)
    if label.any():
        median = float(np.median(scan.image[0][label > 0]))
        if not SOFT_TISSUE_HU[0] <= median <= SOFT_TISSUE_HU[1]:
            raise UserError(
                f"{label_file}: the scan's median under this label is {median:.0f} HU, which is no "
                "soft tissue; the label lies elsewhere or is turned otherwise"
            )
    return Scan(scan.image, label, scan.spacing, scan.affine)


def series_folder(folder: Path) -> Path:
    """The folder below that holds the slices. Raises UserError unless there is exactly one."""
    holding = sorted({path.parent for path in folder.rglob("*.dcm")})
    if len(holding) != 1:
        raise UserError(f"{folder}: {len(holding)} folders below it hold .dcm files; one is needed")
    return holding[0]


def on_grid_of(scan: Volume, label: Volume, path: Path) -> NDArray[Any]:
    """The label's array (*spatial) with its axes in the order and direction of the scan's."""
    shape = scan.image.shape[1:]
    array, affine = turned_to(label.image, label.affine, scan.affine, len(shape))
    if array.shape != shape:
        raise UserError(f"{path}: has shape {array.shape} along the scan's axes, the scan {shape}")
    apart = grid_difference(shape, scan.affine, shape, affine)
    if apart is not None:
        logger.warning("%s: its header puts it %s from its scan; its voxels are taken", path, apart)
    return array
