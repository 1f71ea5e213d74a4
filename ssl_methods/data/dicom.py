"""Reading a DICOM series of slices: ordered by their positions, each with its own rescale."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.volumes import Header, Volume
from ssl_methods.errors import UserError, printable
from ssl_methods.files import read_regular

EVEN = 0.05  # of the mean distance of two slices: rounded positions pass, a missing slice does not
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Slice(NamedTuple):
    """One file of a series."""

    path: Path
    series: str
    plane: NDArray[np.float64]  # (3, 2): the steps in mm (LPS) to the next column and row
    position: NDArray[np.float64]  # (3,): of the first pixel, mm (LPS)
    image: NDArray[np.float32]  # (columns, rows), after rescale slope and intercept


def read_series(folder: Path) -> Volume:
    """The one series of a folder's .dcm files: (1, columns, rows, slices), in HU for CT.

    Slices lie in the order of their positions along the normal of the image plane, whatever their
    names and numbers.

    Raises UserError naming the folder or the file if pydicom is absent, there are several series or
    none, a slice is broken, turned otherwise or of another size than the first, or the slices are
    not evenly spaced (one is missing).
    """
    slices = [_read_slice(path) for path in sorted(folder.glob("*.dcm"))]
    series = {one.series for one in slices}
    if len(series) != 1:
        raise UserError(f"{folder}: holds {len(series)} DICOM series; exactly one is needed")
    _, _, plane, _, first = slices[0]
    for one in slices:
        if one.image.shape != first.shape or not np.allclose(one.plane, plane, atol=1e-4):
            raise UserError(f"{one.path}: is of another size or orientation than the first slice")
    normal = np.cross(plane[:, 0], plane[:, 1])
    normal /= np.linalg.norm(normal)
    slices.sort(key=lambda one: float(normal @ one.position))
    gap = _gap(folder, np.array([normal @ one.position for one in slices]))
    affine = np.eye(4)
    affine[:3] = np.column_stack([plane, normal * gap, slices[0].position])
    image = np.stack([one.image for one in slices], axis=-1)[np.newaxis]
    spacing = tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return Volume(image, spacing, LPS_TO_RAS @ affine, Header(placed=True))


def _read_slice(path: Path) -> Slice:
    try:
        import pydicom
        from pydicom.pixels.processing import apply_rescale
    except ImportError:
        raise UserError(
            f"{path}: reading DICOM needs pydicom; pip install 'ssl-methods[dicom]'"
        ) from None
    try:
        header = pydicom.dcmread(io.BytesIO(read_regular(path)))
        directions = np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3).T
        between_rows, between_columns = map(float, header.PixelSpacing)
        position = np.array(header.ImagePositionPatient, np.float64)
        pixels: NDArray[Any] = apply_rescale(header.pixel_array, header)
        if pixels.ndim != 2:
            raise ValueError(f"its pixels have shape {pixels.shape}; one grey image is needed")
        series = str(header.SeriesInstanceUID)
        plane = directions * [between_columns, between_rows]
        if not (np.isfinite(plane).all() and np.isfinite(position).all() and plane.any(0).all()):
            raise ValueError("its position, orientation or spacing is no valid number")
    except UserError:
        raise
    except Exception as error:  # pydicom and its decoders raise what they like
        reason = printable(error, 200) or type(error).__name__
        raise UserError(f"{path}: is no readable DICOM slice ({reason})") from None
    image = pixels.T.astype(np.float32)
    return Slice(path, series, plane, position, image)


def _gap(folder: Path, places: NDArray[np.float64]) -> float:
    """The distance of two slices, from their places along the normal; mm."""
    gaps = np.diff(places)
    mean = float(gaps.mean()) if len(gaps) else 0.0
    if mean <= 0 or np.abs(gaps - mean).max() > EVEN * mean:
        raise UserError(f"{folder}: its slices are not evenly spaced; one is missing or doubled")
    return mean
