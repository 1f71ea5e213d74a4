"""The verb `metrics`: two label files (NIfTI, NRRD, PNG, TIFF or npy) to metrics of each value."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.geometry import Affine
from ssl_methods.data.volumes import read_label_volume
from ssl_methods.errors import UserError
from ssl_methods.evaluation.metrics import Metrics, case_metrics

logger = logging.getLogger(__name__)


class LabelFile(NamedTuple):
    """Labels (*spatial), and what the header says of the grid; a .npy file says nothing."""

    labels: NDArray[Any]
    spacing: tuple[float, ...] | None  # mm
    affine: Affine | None


def compare_files(
    prediction: Path,
    reference: Path,
    spacing: Sequence[float] | None = None,
    tolerance: float = 1.0,
) -> dict[str, Any]:
    """The metrics of a predicted label file against its reference.

    Args:
        prediction, reference: label files on one grid; 0 is background.
        spacing: voxel size in mm; if None that of the reference's header, and 1 for .npy.
        tolerance: of the normalised surface distance, mm.

    Returns:
        ``case_metrics`` if the two files hold at most one foreground value; with several,
        ``{"classes": {"<value>": case_metrics, ...}}``, the values in rising order.

    Raises:
        UserError: a file is missing, broken or holds values that are no labels, the shapes differ,
            or the spacing does not go with them.
    """
    found, true = read_labels(prediction), read_labels(reference)
    if found.labels.shape != true.labels.shape:
        raise UserError(
            f"{prediction} has shape {found.labels.shape} and {reference} {true.labels.shape}: "
            "both must lie on the same grid"
        )
    if not _same_place(found.affine, true.affine):
        logger.warning(
            "%s and %s have headers that place them differently; they are compared voxel by voxel",
            prediction,
            reference,
        )

    def of(value: int) -> Metrics:
        size = true.spacing if spacing is None else spacing
        return case_metrics(found.labels == value, true.labels == value, size, tolerance)

    values = sorted({*np.unique(found.labels).tolist(), *np.unique(true.labels).tolist()} - {0})
    if len(values) <= 1:
        return dict(of(int(values[0]) if values else 1))
    return {"classes": {str(int(value)): of(int(value)) for value in values}}


def read_labels(path: Path) -> LabelFile:
    """Raises UserError naming the file if it cannot be read or its values are not 0, 1, 2, ..."""
    if path.suffix == ".npy":
        labels, spacing, affine = _load_npy(path), None, None
    else:
        labels, spacing, affine = read_label_volume(path)
    values = np.unique(labels)
    wrong = values[~(np.isfinite(values) & (values >= 0) & (values == np.rint(values)))]
    if wrong.size:
        raise UserError(f"{path}: labels must be whole numbers from 0; found {wrong[0]:g}")
    return LabelFile(labels, spacing, affine)


def _load_npy(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3):
        raise UserError(
            f"{path}: expected labels in 2D or 3D, found {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.uint8) if array.dtype == bool else array


def _same_place(left: Affine | None, right: Affine | None) -> bool:
    """As far as is known."""
    return left is None or right is None or np.allclose(left, right, atol=1e-3)
