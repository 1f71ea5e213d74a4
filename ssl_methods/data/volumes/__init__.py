"""Reading and writing image files: intensities, voxel size in mm, map from voxels to RAS mm.

NIfTI, NRRD, MetaImage and pictures (``data/pictures.py``). A file is data of others: it is checked
against its own header before memory is taken, a damaged one is an error of one line, and one that
contradicts itself about where its voxels lie is refused unless it is said what to take.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data import pictures
from ssl_methods.data.content import Refused, reading
from ssl_methods.data.geometry import Affine, affine_of, grid_difference
from ssl_methods.data.volumes import metaimage, nifti, nrrd
from ssl_methods.data.volumes.header import Choice, Header
from ssl_methods.data.volumes.labels import whole_numbers
from ssl_methods.errors import UserError
from ssl_methods.files import write_with

__all__ = [
    "SUFFIXES",
    "Choice",
    "Header",
    "Volume",
    "check_same_grid",
    "label_suffix",
    "read_label_volume",
    "read_volume",
    "stays_below",
    "suffix_of",
    "volume_id",
    "whole_numbers",
    "write_label",
    "write_values",
]

SUFFIXES = nifti.SUFFIXES + nrrd.SUFFIXES + metaimage.SUFFIXES
# A label is one file, where a scan may be a header with another file beside it; JPEG loses values.
LABEL_SUFFIXES = {".nhdr": ".nrrd", ".mhd": ".mha", ".jpg": ".png", ".jpeg": ".png"}


class Volume(NamedTuple):
    """One file as read."""

    image: NDArray[Any]  # (C, *spatial) float32; of a label (*spatial), the file's own values
    spacing: tuple[float, ...]  # mm, one per spatial axis
    affine: Affine  # 4x4: voxel (i, j, k) -> RAS mm; k is 0 in 2D
    header: Header = Header()  # what a label needs to open where this does


def suffix_of(path: Path) -> str | None:
    """The suffix of an image file in lower case; None if this is no image (or a hidden file)."""
    name = path.name.lower()
    known = (suffix for suffix in SUFFIXES + pictures.SUFFIXES if name.endswith(suffix))
    return None if name.startswith(".") else next(known, None)


def volume_id(path: Path) -> str | None:
    """The file name without its suffix; None if this is no image (or a hidden file)."""
    suffix = suffix_of(path)
    return None if suffix is None else path.name[: -len(suffix)]


def label_suffix(path: Path) -> str | None:
    """The suffix of a label of this image: the same, or of a single file that keeps values."""
    suffix = suffix_of(path)
    return None if suffix is None else LABEL_SUFFIXES.get(suffix, suffix)


def stays_below(name: str) -> bool:
    """Does a relative path in a file that was handed over stay below that file's folder?"""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def read_volume(path: Path, pixel_size_mm: float = 1.0, header: Choice = "agree") -> Volume:
    """Read an image file of one of ``SUFFIXES``, or a picture (``data/pictures.py``).

    Axes keep the order of the file; a fourth axis is taken as channels, and a third axis of length
    one is dropped (2D). RGB gives three channels of 0..255.

    Args:
        path: the file; upper-case suffixes are as good.
        pixel_size_mm: of pictures, which hold none.
        header: what is taken where a header states its grid twice and the two differ.

    Raises:
        UserError: naming the file, if it is missing, broken, too large for memory, says nothing of
            its voxel size, or contradicts itself.
    """
    return _read(path, pixel_size_mm, header, np.float32)


def read_label_volume(path: Path, pixel_size_mm: float = 1.0, header: Choice = "agree") -> Volume:
    """``read_volume`` for labels, the array as (*spatial): whole numbers, the file's own values.

    Raises UserError too for more than one channel, colours, and values that are no whole numbers.
    """
    volume = _read(path, pixel_size_mm, header, None)
    if len(volume.image) != 1:
        raise UserError(f"{path}: a label must have one channel, this has {len(volume.image)}")
    return volume._replace(image=whole_numbers(volume.image[0], path))


def write_label(path: Path, label: NDArray[Any], scan: Volume) -> None:
    """Write a label map (*spatial) of a scan: it opens exactly where the scan does.

    The format is that of ``path`` (``label_suffix`` of the scan's). If that is the scan's own, its
    header is kept: shape, with an axis of length one that was dropped, placement, units. Values
    are stored as uint8, or uint16 if need be. The same label gives the same bytes.

    Raises:
        UserError: the file cannot be written, or the suffix is that of a header with another file
            beside it or of JPEG.
        ValueError: the label has another shape than the scan, or values beyond 0..65535.
    """
    shape = scan.image.shape[1:]
    if label.shape != shape:
        raise ValueError(f"a label of shape {label.shape} for a scan of {shape}")
    if label.size and not (label.min() >= 0 and label.max() <= 65535):
        raise ValueError(f"labels from {label.min()} to {label.max()}; 0..65535 can be written")
    suffix = suffix_of(path)
    if suffix is None or suffix in LABEL_SUFFIXES:
        raise UserError(f"{path}: a label cannot be written as this; use .nii.gz, .nrrd or .mha")
    small = not label.size or label.max() <= 255
    stored = np.asarray(label, np.uint8 if small else np.uint16)
    header = scan.header
    if suffix in pictures.SUFFIXES:
        own = header.fields if header.format == "picture" else None
        data = pictures.encoded(path, stored.reshape(shape), own)
    else:
        name, write = next(
            (name, module.encoded) for name, module in FORMATS.items() if suffix in module.SUFFIXES
        )
        own = header.fields if header.format == name else None
        data = write(path, stored.reshape(header.shape or shape), scan.affine, own)
    write_with(path, lambda file: file.write(data))


def write_values(path: Path, values: NDArray[np.float32], scan: Volume) -> None:
    """Write numbers (*spatial), such as probabilities, as NIfTI that opens where the scan does."""
    own = scan.header.fields if scan.header.format == "nifti" else None
    placed = values.reshape(scan.header.shape or values.shape)
    data = nifti.encoded(path, np.asarray(placed, np.float32), scan.affine, own)
    write_with(path, lambda file: file.write(data))


def check_same_grid(path: Path, volume: Volume, reference: Path, expected: Volume) -> None:
    """Raises UserError unless a volume has the shape of the reference and lies where it does.

    Half a voxel of the reference is too far, at any corner, along any axis. Either may be a label.
    """
    n = len(expected.spacing)
    shape, wanted = volume.image.shape[-len(volume.spacing) :], expected.image.shape[-n:]
    if shape != wanted:
        raise UserError(f"{path}: its shape {shape} differs from {wanted} of {reference.name}")
    difference = grid_difference(wanted, expected.affine, shape, volume.affine)
    if difference is None:
        return
    unplaced = [
        file.name
        for file, one in ((path, volume), (reference, expected))
        if not one.header.placed and one.header.format != "picture"
    ]
    says_nothing = f"; {' and '.join(unplaced)} states voxel sizes alone" if unplaced else ""
    raise UserError(
        f"{path}: lies {difference} away from {reference.name} (spacing, origin or orientation "
        f"differ{says_nothing}); correct its header"
    )


FORMATS: dict[str, Any] = {"nifti": nifti, "nrrd": nrrd, "metaimage": metaimage}


def _read(path: Path, pixel_size_mm: float, choice: Choice, dtype: type | None) -> Volume:
    suffix = suffix_of(path)
    if suffix is None and path.exists():
        known = ", ".join(SUFFIXES + pictures.SUFFIXES)
        raise UserError(f"{path}: is neither NIfTI, NRRD, MetaImage nor a picture ({known})")
    with reading(path):
        if suffix in pictures.SUFFIXES:
            spacing = (pixel_size_mm, pixel_size_mm)
            read = pictures.read_picture if dtype else pictures.read_mask
            image = read(path)
            if dtype is None:
                image = image[np.newaxis]
            header = Header("picture", image.shape[1:], pictures.resolution(path))
            return Volume(image, spacing, affine_of(spacing), header)
        module = next((it for it in FORMATS.values() if suffix in it.SUFFIXES), nifti)
        array, affine, header = module.read(path, choice, dtype)
        if array.ndim == 4 and array.shape[2] == 1:
            array = array[:, :, 0]
        image = np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype)
        spacing = np.linalg.norm(affine[:3, : image.ndim - 1], axis=0)
        if not (np.isfinite(affine).all() and (spacing > 0).all() and np.linalg.det(affine)):
            raise Refused(f"its header gives no valid voxel size (affine {affine.tolist()})")
        return Volume(image, tuple(float(size) for size in spacing), affine, header)
