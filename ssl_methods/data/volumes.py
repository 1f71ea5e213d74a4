"""Reading NIfTI, NRRD and pictures: intensities, voxel size in mm, map from voxels to RAS mm."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data import pictures
from ssl_methods.data.geometry import affine_of
from ssl_methods.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr")
UNITS_IN_MM = {"meter": 1000.0, "micron": 0.001}
LPS_SPACES = {"left-posterior-superior", "lps"}
LAS_SPACES = {"left-anterior-superior", "las"}
RAS_SPACES = {"right-anterior-superior", "ras"}


class Volume(NamedTuple):
    """One file as read."""

    image: NDArray[np.float32]  # (C, *spatial)
    spacing: tuple[float, ...]  # mm, one per spatial axis
    affine: NDArray[np.float64]  # 4x4: voxel (i, j, k) -> RAS mm; k is 0 in 2D


def volume_id(path: Path) -> str | None:
    """The file name without its suffix; None if this is no image (or a hidden file)."""
    if path.name.startswith("."):
        return None
    if pictures.is_picture(path):
        return path.stem
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)]
    return None


def stays_below(name: str) -> bool:
    """Does a relative path in a file that was handed over stay below that file's folder?"""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def read_volume(path: Path, pixel_size_mm: float = 1.0) -> Volume:
    """Read .nii, .nii.gz, .nrrd, .nhdr, or a picture (``data/pictures.py``).

    Axes keep the order of the file; a fourth axis is taken as channels, and a third axis of length
    one is dropped (2D). ``pixel_size_mm`` is of pictures, which hold none. Raises UserError naming
    the file if it is missing, broken, or a volume that says nothing of its voxel size.
    """
    _check_there(path)
    if pictures.is_picture(path):
        return _picture(pictures.read_picture(path), pixel_size_mm)
    is_nrrd = path.name.endswith((".nrrd", ".nhdr"))
    try:
        array, affine = _read_nrrd(path) if is_nrrd else _read_nifti(path)
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read, it may be truncated ({reason[:200]})") from None
    if 0 in array.shape:
        raise UserError(f"{path}: holds no voxels (shape {array.shape})")
    image = _channels_first(path, array)
    spacing = np.linalg.norm(affine[:3, : image.ndim - 1], axis=0)
    if not (np.isfinite(affine).all() and (spacing > 0).all() and np.linalg.det(affine)):
        raise UserError(f"{path}: its header gives no valid voxel size (affine {affine.tolist()})")
    return Volume(image, tuple(float(size) for size in spacing), affine)


def read_label_volume(path: Path, pixel_size_mm: float = 1.0) -> Volume:
    """As ``read_volume``, the array as (*spatial). Raises UserError for more than one channel."""
    if pictures.is_picture(path):
        _check_there(path)
        return _picture(pictures.read_mask(path), pixel_size_mm)
    image, spacing, affine = read_volume(path)
    if len(image) != 1:
        raise UserError(f"{path}: a label must have one channel, this has {len(image)}")
    return Volume(image[0], spacing, affine)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty")
    if volume_id(path) is None:
        known = ", ".join(SUFFIXES + pictures.SUFFIXES)
        raise UserError(f"{path}: is neither NIfTI, NRRD nor a picture ({known})")


def _picture(image: NDArray[np.float32], pixel_size_mm: float) -> Volume:
    spacing = (pixel_size_mm, pixel_size_mm)
    return Volume(image, spacing, affine_of(spacing))


def _channels_first(path: Path, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """(x, y[, z[, C]]) or NIfTI's vector form (x, y, z, 1, C) -> (C, x, y[, z])."""
    if array.ndim == 5 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim not in (2, 3, 4):
        raise UserError(f"{path}: expected 2 to 4 axes, found shape {array.shape}")
    if array.ndim < 4:
        array = array[..., np.newaxis]
    if array.ndim == 4 and array.shape[2] == 1:
        array = array[:, :, 0]
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


def _read_nifti(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image: Any = nibabel.load(path)
        array = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (ImageFileError, TypeError) as error:
        raise ValueError(str(error)) from None
    affine = np.array(image.affine, dtype=np.float64)
    unit = image.header.get_xyzt_units()[0]
    affine[:3] *= UNITS_IN_MM.get(unit, 1.0)
    return array, affine


def _read_nrrd(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import nrrd

    try:
        header = nrrd.read_header(str(path))
        if not stays_below(data := header.get("data file", header.get("datafile", ""))):
            raise ValueError(f"its data file {data} is not within {path.parent}")
        array, header = nrrd.read(str(path))
    except (nrrd.NRRDError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    axes = _nrrd_axes(header, array.ndim)
    channel = [axis for axis in range(array.ndim) if axes[axis] is None]
    if len(channel) > 1:
        raise ValueError("more than one axis has no direction in space")
    if channel:
        array = np.moveaxis(array, channel[0], -1)
    columns = [axis for axis in axes if axis is not None]
    if array.ndim == 3 and channel:  # 2D with channels: (x, y, C) -> (x, y, 1, C)
        array = array[:, :, np.newaxis]
    affine = np.eye(4)
    for axis, column in enumerate(columns):
        affine[:3, axis] = 0
        affine[: len(column), axis] = column
    origin = header.get("space origin")
    if origin is not None:
        affine[: len(origin), 3] = origin
    return array.astype(np.float32), np.diag([*_to_ras(header), 1.0]) @ affine


def _nrrd_axes(header: dict[str, Any], count: int) -> list[Sequence[float] | None]:
    """One vector in space per axis; None for the axis of channels."""
    directions = header.get("space directions")
    if directions is not None:
        return [None if row is None or np.isnan(row).any() else row for row in directions]
    spacings = header.get("spacings")
    if spacings is None:
        raise ValueError("the header has neither 'space directions' nor 'spacings'")
    directions = iter(np.eye(3))
    return [None if np.isnan(size) else size * next(directions) for size in spacings]


def _to_ras(header: dict[str, Any]) -> list[float]:
    """The sign of each axis of the header's space, seen from RAS. Without a space: as it is."""
    space = str(header.get("space", "")).lower()
    if space in LPS_SPACES:
        return [-1.0, -1.0, 1.0]
    if space in LAS_SPACES:
        return [-1.0, 1.0, 1.0]
    if space in RAS_SPACES or not space:
        return [1.0, 1.0, 1.0]
    raise ValueError(f"unknown space '{space}'; known: left-posterior-superior and its like")
