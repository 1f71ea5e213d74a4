"""Scans of one's own, as mixed as they come, written with SimpleITK alone.

All show the same body at the same place, in voxels of several sizes, stored along several axes, in
several formats. It has no symmetry, and its borders lie between the voxels of every grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

EXTENT = 64, 64, 40  # mm
ORIGIN = -20.0, 15.0, 100.0  # mm: the corner of the volume
BOXES = {1: ((8, 32), (16, 48), (10, 30)), 2: ((40, 56), (8, 24), (10, 30))}  # mm from the corner
COSINE, SINE = math.cos(math.radians(20)), math.sin(math.radians(20))
TILT = 1.0, 0.0, 0.0, 0.0, COSINE, -SINE, 0.0, SINE, COSINE  # about the first voxel
FINE, THICK, WIDE = (1.0, 1.0, 2.0), (1.0, 1.0, 5.0), (1.6, 1.6, 2.0)

Turn = Callable[[sitk.Image], sitk.Image]


def as_it_is(image: sitk.Image) -> sitk.Image:
    return image


def flipped(image: sitk.Image) -> sitk.Image:
    """The first axis points the other way; the body stays where it is."""
    return sitk.Flip(image, [True, False, False])


def permuted(image: sitk.Image) -> sitk.Image:
    """The axes in another order; the body stays where it is."""
    return sitk.PermuteAxes(image, [2, 0, 1])


def oblique(image: sitk.Image) -> sitk.Image:
    """The scanner's table, body and grid, turned by 20 degrees about the x axis."""
    turned = sitk.Image(image)
    turned.SetDirection(TILT)
    return turned


# name of the image, of the label (or none), voxel size, axes
SCANS: list[tuple[str, str, tuple[float, ...], Turn]] = [
    ("patient01.nii.gz", "patient01.nii.gz", FINE, as_it_is),
    ("patient02.nrrd", "patient02.nrrd", FINE, as_it_is),
    ("patient03.mha", "patient03.nii.gz", FINE, as_it_is),
    ("patient04.nii.gz", "patient04.nii.gz", FINE, oblique),
    ("patient05.nrrd", "patient05.mha", FINE, flipped),
    ("patient06.mha", "patient06.mha", FINE, permuted),
    ("patient07.nii", "patient07.nrrd", THICK, as_it_is),
    ("patient08.nhdr", "patient08.nii.gz", FINE, flipped),
    ("patient09.mhd", "patient09.mha", WIDE, as_it_is),
    ("patient10.NII", "patient10.NRRD", FINE, as_it_is),
    ("patient11.MHA", "", FINE, permuted),
    ("patient12.nii.gz", "", FINE, as_it_is),
]
NEW = [
    ("new01.nii.gz", "new01.nii.gz", FINE, as_it_is),
    ("new02.nrrd", "new02.nrrd", FINE, flipped),
    ("new03.mha", "new03.mha", FINE, permuted),
    ("new04.nii.gz", "new04.nii.gz", FINE, oblique),
    ("new05.nii", "new05.nii", THICK, as_it_is),
    ("new06.NRRD", "new06.nrrd", WIDE, flipped),
    ("new07.nhdr", "new07.nrrd", FINE, oblique),
    ("new08.mhd", "new08.mha", FINE, permuted),
]


def body(spacing: tuple[float, ...], third: int) -> np.ndarray:
    """The values 1, 2 and, ``third`` mm wide, 4; (x, y, z)."""
    shape = [round(side / step) for side, step in zip(EXTENT, spacing, strict=True)]
    places = np.meshgrid(
        *((np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"
    )
    label = np.zeros(shape, np.uint8)
    for value, box in (BOXES | {4: ((40, 40 + third), (32, 40 + third), (20, 30))}).items():
        label[
            np.all([(a <= p) & (p < b) for p, (a, b) in zip(places, box, strict=True)], axis=0)
        ] = value
    return label


def itk_image(array: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    """Of an array (x, y, z): its first voxel in the corner of the volume, axes along LPS."""
    image = sitk.GetImageFromArray(array.transpose())
    image.SetSpacing(spacing)
    image.SetOrigin([corner + step / 2 for corner, step in zip(ORIGIN, spacing, strict=True)])
    return image


def write(image: sitk.Image, path: Path) -> None:
    """SimpleITK knows lower-case suffixes; a header and its data are two files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lower = path.with_name(path.name.lower())
    sitk.WriteImage(image, lower, useCompression=not lower.suffix.endswith("hdr"))
    lower.rename(path)


def make_scans(folder: Path) -> None:
    """``scans/``, ``new_scans/`` and ``references/``, of the same scans from every run."""
    random = np.random.default_rng(0)
    for number, (name, label_name, spacing, turn) in enumerate(SCANS + NEW):
        mine = name.startswith("patient")
        label = body(spacing, (0 if number == 2 else 6 + number) if mine else 10)
        noise = random.normal(0, 20, label.shape)
        image = (100 + 80 * np.sqrt(label) + noise).clip(0).astype(np.int16)
        if name == "patient12.nii.gz":
            image = image.astype(np.float32) / 1000
        images, labels = ("scans/images", "scans/labels") if mine else ("new_scans", "references")
        write(turn(itk_image(image, spacing)), folder / images / name)
        if label_name:
            write(turn(itk_image(label, spacing)), folder / labels / label_name)
    (folder / "scans/classes.txt").write_text("1 liver\n2 spleen\n4 lesion\n")
    (folder / "scans/notes").mkdir()
    (folder / "scans/notes/visits.txt").write_text("patient04 lay askew\n")
    (folder / "scans/ages.xlsx").write_bytes(b"")
