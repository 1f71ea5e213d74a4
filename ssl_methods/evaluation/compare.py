"""The verb `metrics`: two label files (an image's or .npy) to metrics of each value."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.arrays import read_npy
from ssl_methods.data.geometry import Affine, axis_codes, grid_difference, turned_to
from ssl_methods.data.volumes import Choice, read_label_volume, whole_numbers
from ssl_methods.errors import UserError
from ssl_methods.evaluation.metrics import case_metrics
from ssl_methods.evaluation.own_metrics import measured
from ssl_methods.evaluation.peers import beside
from ssl_methods.measures import named

logger = logging.getLogger(__name__)


class LabelFile(NamedTuple):
    """Labels (*spatial), and what the header says of the grid; a .npy file says nothing."""

    path: Path
    labels: NDArray[Any]
    spacing: tuple[float, ...] | None = None  # mm
    affine: Affine | None = None  # a picture has none either


def compare_files(
    prediction: Path,
    reference: Path,
    spacing: Sequence[float] | None = None,
    tolerance: float = 1.0,
    merged: bool = False,
    header: Choice = "agree",
    peer: str | None = None,
    metrics: Sequence[str] = (),
) -> dict[str, Any]:
    """The metrics of a predicted label file against its reference.

    Files whose axes differ in order or direction alone are compared on the reference's grid.

    Args:
        prediction, reference: label files on one grid; 0 is background.
        spacing: voxel size in mm, in the order of the reference's array axes as stored (x, y, z for
            NIfTI); if None that of the reference's header, and 1 for .npy.
        tolerance: of the normalised surface distance, mm.
        merged: compare all foreground with all foreground, whatever its values.
        header: what is taken where a file states its grid twice and the two differ.
        peer: "medpy" or "monai": its values too, under ``"beside": {peer: {metric: value}}``, for
            what it measures and where no mask is empty.
        metrics: measured beside the built-in ones, as ``evaluation.metrics`` names them.

    Returns:
        ``case_metrics`` if the two files hold at most one foreground value; with several,
        ``{"classes": {"<value>": case_metrics, ...}}``, the values in rising order. With ``merged``
        ``case_metrics`` and ``"merged": True``.

    Raises:
        UserError: a file is missing, broken or holds values that are no labels; the files lie on
            different grids; both have foreground and no value in common; or the spacing does not go
            with them; the peer is not installed.
    """
    true = read_labels(reference, header)
    found = _on_grid_of(true, read_labels(prediction, header))
    size = true.spacing if spacing is None else spacing
    own = named(metrics, "--metric")

    def of(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> dict[str, Any]:
        values = dict(case_metrics(left, right, size, tolerance))
        lengths = (1.0,) * left.ndim if size is None else size
        values |= measured(own, left, right, lengths, str(prediction))
        if peer is None:
            return values
        return {**values, "beside": {peer: beside(peer, left, right, size, tolerance)}}

    if merged:
        return of(found.labels > 0, true.labels > 0) | {"merged": True}
    values = _common_values(found, true)
    if len(values) <= 1:
        value = values[0] if values else 1
        return of(found.labels == value, true.labels == value)
    logger.info(
        "values %s are measured each on its own; --merged compares all foreground",
        ", ".join(map(str, values)),
    )
    return {
        "classes": {str(value): of(found.labels == value, true.labels == value) for value in values}
    }


def read_labels(path: Path, header: Choice = "agree") -> LabelFile:
    """Raises UserError naming the file if it cannot be read or its values are not 0, 1, 2, ..."""
    if path.suffix.lower() == ".npy":
        array = read_npy(path)
        if array.ndim not in (2, 3):
            raise UserError(
                f"{path}: expected labels in 2D or 3D, found {array.dtype} of shape {array.shape}"
            )
        file = LabelFile(path, whole_numbers(array, path))
    else:
        volume = read_label_volume(path, header=header)
        picture = volume.header.format == "picture"
        affine = None if picture else volume.affine
        if not picture and not volume.header.placed:
            codes = axis_codes(volume.affine, volume.image.ndim)
            logger.info("%s: states voxel sizes alone; its axes are taken as %s", path, codes)
        file = LabelFile(path, volume.image, volume.spacing, affine)
    if (least := file.labels.min(initial=0)) < 0:
        raise UserError(f"{path}: labels must be whole numbers from 0; found {least}")
    return file


def _on_grid_of(reference: LabelFile, file: LabelFile) -> LabelFile:
    """The file's labels on the reference's grid, if that needs no interpolation.

    Raises UserError if it does. What says nothing of its grid is taken voxel by voxel.
    """
    labels, affine, wanted = file.labels, file.affine, reference.affine
    if affine is not None and wanted is not None and labels.ndim == reference.labels.ndim:
        try:
            labels, affine = turned_to(labels, affine, wanted, labels.ndim)
        except ValueError:
            raise UserError(f"{file.path} and {reference.path} lie in different planes") from None
    if labels.shape != reference.labels.shape:
        raise UserError(
            f"{file.path} has shape {file.labels.shape} and {reference.path} "
            f"{reference.labels.shape}: both must lie on the same grid"
        )
    if affine is not None and wanted is not None:
        apart = grid_difference(labels.shape, wanted, labels.shape, affine)
        if apart is not None:
            raise UserError(
                f"{file.path} lies {apart} away from {reference.path}: resample it to that grid, "
                "or correct its header; arrays alone (.npy) are compared voxel by voxel"
            )
    return file._replace(labels=labels, affine=affine)


def _common_values(found: LabelFile, true: LabelFile) -> list[int]:
    """The foreground values of both files, in rising order; what only one of them has is said.

    Raises UserError if both have foreground and no value in common.
    """
    left, right = (
        {int(value) for value in np.unique(file.labels) if value} for file in (found, true)
    )
    if left and right and not left & right:
        raise UserError(
            f"{found.path} holds the values {_listed(left)} and {true.path} {_listed(right)}: they "
            "have none in common; give --merged to compare all foreground with all foreground, or "
            "save both with the same values"
        )
    if left != right:
        logger.warning(
            "%s holds the values %s, %s %s%s",
            found.path,
            _listed(left),
            true.path,
            _listed(right),
            "; if one of them merges classes, --merged compares all foreground"
            if left and right
            else "",
        )
    return sorted(left | right)


def _listed(values: Iterable[int]) -> str:
    shown = [str(value) for value in sorted(values)]
    return ", ".join(shown[:20] + ["..."] * (len(shown) > 20)) or "0 alone"
