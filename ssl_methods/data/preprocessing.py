"""From a scan to the arrays of a prepared case: check, normalise stains, crop, resample, scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase
from ssl_methods.data import geometry
from ssl_methods.data.importers.base import Scan
from ssl_methods.data.stains import StainNormaliser
from ssl_methods.errors import UserError


def prepare_image(
    image: NDArray[np.float32],
    spacing: Sequence[float],
    affine: NDArray[np.float64] | None,
    dataset: DatasetBase,
    stain: StainNormaliser | None = None,
    orientation: str | None = None,
) -> tuple[NDArray[np.float32], tuple[float, ...], NDArray[np.float64]]:
    """Prepare a new scan as those of ``dataset`` were: turn, crop, resample, normalise.

    ``image`` is (C, *spatial), ``spacing`` in mm per spatial axis, ``affine`` 4x4 (None: mm from
    the first voxel), ``stain`` the store's (``stains.stain_normaliser``), ``orientation`` that of
    its manifest. Returns the prepared image, its spacing and its affine, which
    ``geometry.restore_label`` needs to bring a prediction back to the scan's own axes and grid.

    Raises UserError for an image that is constant or not finite, and if the data set is cropped
    with the reference label, which a new scan does not have.
    """
    prepared, _, new_spacing, new_affine = preprocessed(
        Scan(image, None, tuple(spacing), affine), dataset, stain, orientation
    )
    assert new_spacing is not None  # one was given
    return prepared, new_spacing, new_affine


def preprocessed(
    scan: Scan, dataset: DatasetBase, stain: StainNormaliser | None, orientation: str | None
) -> tuple[
    NDArray[np.float32], NDArray[np.uint8] | None, tuple[float, ...] | None, NDArray[np.float64]
]:
    """Image, label, spacing (None: unknown, as the scan's) and affine of the prepared case."""
    check_image(scan.image)
    if orientation is not None:
        scan = turned(scan, orientation)
    if scan.spacing is None:
        _check_without_size(dataset)
    image, label = scan.image, scan.label
    spacing = scan.spacing or (1.0,) * (image.ndim - 1)
    if stain is not None:
        image = stain(image)
    if dataset.clip_values is not None:
        image = np.clip(image, *dataset.clip_values)
    affine = geometry.affine_of(spacing) if scan.affine is None else scan.affine
    box = _crop_box(image, label, spacing, dataset)
    if box is not None:
        image, label = image[(slice(None), *box)], None if label is None else label[box]
        affine = geometry.shifted(affine, [side.start for side in box], [1.0] * len(box))
    target = dataset.spacing
    if target is not None and len(target) != len(spacing):
        raise UserError(f"is {len(spacing)}D, but dataset.spacing has {len(target)} numbers")
    if target is not None and not np.allclose(target, spacing, rtol=1e-3):
        grid = geometry.Grid(image.shape[1:], spacing, target)
        image = np.stack([grid.image(channel) for channel in image])
        label = None if label is None else grid.label(label, int(label.max()))
        affine, spacing = geometry.shifted(affine, grid.start.tolist(), grid.step.tolist()), target
    size = None if scan.spacing is None else tuple(map(float, spacing))
    return normalised(image, dataset), _contiguous(label), size, affine


def _check_without_size(dataset: DatasetBase) -> None:
    """Raises UserError if what is asked for needs a voxel size, and the scan has none."""
    if dataset.spacing is not None:
        raise UserError(
            "its voxel size is not known, so it cannot be resampled; take dataset.spacing away"
        )
    if dataset.crop != "none" and dataset.crop_margin_mm:
        raise UserError(
            f"its voxel size is not known, so a margin of {dataset.crop_margin_mm:g} mm cannot be "
            "kept around the crop; set dataset.crop: none, or dataset.crop_margin_mm: 0"
        )


def turned(scan: Scan, orientation: str) -> Scan:
    """The scan with its axes as ``orientation`` says, e.g. "RAS": nothing is interpolated.

    Raises UserError if the scan does not say how its axes lie, or has other axes (2D).
    """
    dimensions = scan.image.ndim - 1
    if scan.affine is None:
        raise UserError(
            f"nothing says how its axes lie, so they cannot be brought to {orientation}; take "
            "dataset.orientation away"
        )
    if len(orientation) != dimensions:
        raise UserError(f"is {dimensions}D, but orientation {orientation} is of {len(orientation)}")
    try:
        image, affine = geometry.reoriented(scan.image, scan.affine, orientation)
        label = scan.label
        if label is not None:
            label, _ = geometry.reoriented(label, scan.affine, orientation)
    except ValueError as error:
        raise UserError(str(error)) from None
    spacing = np.linalg.norm(affine[:3, :dimensions], axis=0)
    return Scan(image, label, tuple(map(float, spacing)), affine)


def _contiguous(label: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    return None if label is None else np.ascontiguousarray(label)


def _crop_box(
    image: NDArray[np.float32],
    label: NDArray[np.uint8] | None,
    spacing: Sequence[float],
    dataset: DatasetBase,
) -> tuple[slice, ...] | None:
    if dataset.crop == "none":
        return None
    if dataset.crop == "label" and label is None:
        raise UserError(
            "has no label to crop with (dataset.crop: label); choose 'nonzero' or 'none'"
        )
    mask = (image != 0).any(axis=0) if label is None or dataset.crop == "nonzero" else label != 0
    return geometry.bounding_box(mask, [dataset.crop_margin_mm / size for size in spacing])


def normalised(image: NDArray[np.float32], dataset: DatasetBase) -> NDArray[np.float32]:
    """Clip and scale each channel of (C, *spatial); statistics over the whole prepared volume.

    Raises UserError if a channel is constant after clipping.
    """
    channels = []
    for index, channel in enumerate(image):
        values = channel.astype(np.float64)
        low, high = float(values.min()), float(values.max())
        if dataset.clip_percentiles is not None:
            low, high = np.percentile(values, dataset.clip_percentiles)
            values = values.clip(low, high)
        if high <= low:
            raise UserError(f"channel {index} is constant after cropping and clipping")
        if dataset.normalisation == "zscore":
            values = (values - values.mean()) / values.std()
        elif dataset.normalisation == "percentile":
            values = (values - low) / (high - low)
        elif dataset.normalisation == "window" and dataset.clip_values is not None:
            values = (values - dataset.clip_values[0]) / np.ptp(dataset.clip_values)
        channels.append(values.astype(np.float32))
    return np.stack(channels)


def check_image(image: NDArray[np.float32]) -> None:
    """Raises UserError unless (C, *spatial) of 2 or 3 spatial axes, finite, no channel constant."""
    if image.ndim not in (3, 4):
        raise UserError(f"the image has shape {image.shape}; expected 2D or 3D with channels first")
    if not np.isfinite(image).all():
        count = int(np.count_nonzero(~np.isfinite(image)))
        raise UserError(f"the image has {count} voxels that are NaN or infinite")
    for index, channel in enumerate(image):
        if channel.min() == channel.max():
            value = float(channel.flat[0])
            raise UserError(f"channel {index} of the image is constant (every voxel is {value:g})")
