"""The metrics of one case and one class, in the conventions of the papers that are compared.

Dice and Jaccard: of voxel sets. ASD and 95HD: as MedPy 0.5.2 computes them, for the DTC, UA-MT and
SASSNet papers report those: ASD is directed, from the prediction to the reference; 95HD is the 95th
percentile of the distances of both directions together. ASSD and NSD: as Metrics Reloaded defines
them (Maier-Hein and Reinke et al., Nature Methods 2024), on surface voxels: ASSD is the sum of the
distances of both directions over the number of surface voxels of both; NSD is the fraction of those
voxels that lie within the tolerance.

A surface voxel is a foreground voxel with a face neighbour outside the mask; what is beyond the
array is outside.

Empty masks: if both are empty, Dice = Jaccard = NSD = 1 and the distances are 0. If one is,
Dice = Jaccard = NSD = 0 and every distance is the diagonal of the volume, the worst that it can
hold. (The released code scores an empty prediction with distances of 0, the best.)

These are the values of one case, as ``cases.csv`` keeps them. Where they are averaged, compared or
ranked, a case whose reference lacks a class does not enter for that class: overlap with an empty
reference is not defined (Metrics Reloaded), and with the convention above whoever predicts nothing
would score 1 on every such case. How many these are (``absent``), and in how many of them the class
was predicted all the same (``false_positives``), is counted beside the means. An empty prediction
of a class that the case has does enter, with the worst values, and is counted (``failures``). The
mean over classes of a case is over the classes that it has. (``analysis.tables`` applies the rule.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ssl_methods.errors import UserError
from ssl_methods.evaluation.surfaces import Mask, bounding_box, distances, surface
from ssl_methods.measures import LARGEST, NSD, OF_CASES, OF_PAPERS, of

Metrics = dict[str, float | bool]

SAME_LENGTH = 1 + 1e-6  # distances are single precision: one equal to the tolerance is within it


def case_metrics(
    prediction: ArrayLike,
    reference: ArrayLike,
    spacing: Sequence[float] | None = None,
    nsd_tolerance_mm: float = 1.0,
) -> Metrics:
    """Every metric column of ``cases.csv`` for one binary class, in its order.

    The columns ``*_largest_component`` score the largest component of the prediction alone, voxels
    being connected by face, edge or corner: the post-processing of the released UA-MT and DTC code.

    Args:
        prediction: 2D or 3D; non-zero is foreground.
        reference: the same shape.
        spacing: voxel size in mm per axis; None means 1.
        nsd_tolerance_mm: of the normalised surface distance; its column is ``nsd_<tau>mm``.

    Returns:
        Overlaps in 0..1, distances in voxels (``_voxel``) or mm (``_mm``), ``volume_error_ml``
        (prediction minus reference; a 2D case counts as 1 mm thick), and the flags
        ``empty_prediction`` and ``empty_reference``: does the mask have no voxel?

    Raises:
        UserError: the shapes differ, are not 2D or 3D, or do not go with the spacing.
    """
    predicted, expected = np.asarray(prediction, bool), np.asarray(reference, bool)
    size = _checked_spacing(predicted, expected, spacing)
    counts = int(np.count_nonzero(predicted)), int(np.count_nonzero(expected))
    metrics = (
        _surface_and_overlap(predicted, expected, size, nsd_tolerance_mm)
        if all(counts)
        else _of_empty_masks(predicted.shape, size, nsd_tolerance_mm, both=not any(counts))
    )
    metrics |= {
        "volume_error_ml": (counts[0] - counts[1]) * math.prod(size) / 1000,
        "empty_prediction": counts[0] == 0,
        "empty_reference": counts[1] == 0,
    }
    return {name: metrics[name] for name in columns(nsd_tolerance_mm)}


def in_voxels(metrics: Metrics) -> Metrics:
    """The same columns, what is of mm or ml being NaN: the voxel size is not known."""
    return {
        name: math.nan if name.endswith(("mm", "_ml")) else value for name, value in metrics.items()
    }


def overlap(prediction: Mask, reference: Mask) -> Metrics:
    """Dice and Jaccard of two masks of one shape; both are 1 if neither has foreground."""
    common = int(np.count_nonzero(prediction & reference))
    total = int(np.count_nonzero(prediction) + np.count_nonzero(reference))
    if total == 0:
        return {"dice": 1.0, "jaccard": 1.0}
    return {"dice": 2 * common / total, "jaccard": common / (total - common)}


def columns(nsd_tolerance_mm: float = 1.0) -> list[str]:
    """The names of the metrics in the order of ``cases.csv``."""
    measured = [_nsd(nsd_tolerance_mm) if name == NSD else name for name in OF_CASES]
    flags = ["empty_prediction", "empty_reference"]
    return [*measured, *flags, *(name + LARGEST for name in OF_PAPERS)]


def _nsd(tolerance_mm: float) -> str:
    return f"{NSD}{tolerance_mm:g}mm"


def _checked_spacing(
    prediction: Mask, reference: Mask, spacing: Sequence[float] | None
) -> tuple[float, ...]:
    if prediction.shape != reference.shape:
        raise UserError(
            f"prediction has shape {prediction.shape} and reference {reference.shape}: "
            "both must lie on the same grid"
        )
    dimensions = prediction.ndim
    if dimensions not in (2, 3):
        raise UserError(f"masks have {dimensions} dimensions: give 2D or 3D masks of one class")
    size = (1.0,) * dimensions if spacing is None else tuple(map(float, spacing))
    if len(size) != dimensions or not all(0 < length < math.inf for length in size):
        raise UserError(f"spacing {list(size)}: give {dimensions} positive lengths in mm")
    return size


def _of_empty_masks(
    shape: Sequence[int], spacing: Sequence[float], tolerance: float, both: bool
) -> Metrics:
    known = {"volume_error_ml", "empty_prediction", "empty_reference"}
    names = [name for name in columns(tolerance) if name not in known]
    return {name: of(name).of_empty(both, shape, spacing) for name in names}


def _surface_and_overlap(
    prediction: Mask, reference: Mask, spacing: tuple[float, ...], tolerance: float
) -> Metrics:
    """The metrics of two masks that both have foreground."""
    box = bounding_box(prediction | reference)
    prediction, reference = (np.ascontiguousarray(mask[box]) for mask in (prediction, reference))
    found, true = surface(prediction), surface(reference)
    there, back = distances(found, true), distances(true, found)
    if np.allclose(spacing, spacing[0], rtol=1e-7, atol=0):
        there_mm, back_mm = there * spacing[0], back * spacing[0]
    else:
        there_mm, back_mm = distances(found, true, spacing), distances(true, found, spacing)
    both_mm = np.concatenate([there_mm, back_mm])
    legacy = overlap(prediction, reference) | _legacy_distances(there, back)

    largest = largest_component(prediction)
    if largest is prediction:
        legacy_largest = legacy
    else:
        # Components share no face: the surface of one is its part of the whole surface.
        kept = distances(true, found & largest)
        legacy_largest = overlap(largest, reference)
        legacy_largest |= _legacy_distances(there[largest[found]], kept)

    return {
        **legacy,
        "asd_mm": float(there_mm.mean()),
        "hd95_mm": float(np.percentile(both_mm, 95)),
        "assd_mm": float(both_mm.mean()),
        _nsd(tolerance): float((both_mm <= tolerance * SAME_LENGTH).mean()),
        **{name + LARGEST: value for name, value in legacy_largest.items()},
    }


def _legacy_distances(there: NDArray[np.float64], back: NDArray[np.float64]) -> Metrics:
    pooled = np.percentile(np.concatenate([there, back]), 95)
    return {"asd_voxel": float(there.mean()), "hd95_voxel": float(pooled)}


def largest_component(mask: Mask) -> Mask:
    """The largest connected component, voxels that touch at a corner counted as connected.

    The mask itself if it is one component or empty; of equal ones the first in the array's order.
    """
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    if count <= 1:
        return mask
    sizes = np.bincount(labels[mask])  # labels are numbered in the array's order
    largest: Mask = labels == sizes.argmax()
    return largest
