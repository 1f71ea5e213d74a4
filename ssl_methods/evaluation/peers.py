"""What other libraries give for the same two masks: MedPy and MONAI, beside our own metrics.

They are asked only where a user wants to see both (``metrics --beside``); neither is needed else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.errors import UserError

Mask = NDArray[np.bool_]
Values = dict[str, float]


def medpy(prediction: Mask, reference: Mask, spacing: Sequence[float], _: float) -> Values:
    """MedPy's values by our columns' names; our distances follow its definitions."""
    try:
        from medpy.metric import binary
    except ImportError:
        raise UserError("--beside medpy needs MedPy: pip install medpy") from None
    distances = {"asd_voxel": binary.asd, "hd95_voxel": binary.hd95}
    in_mm = {"asd_mm": binary.asd, "hd95_mm": binary.hd95, "assd_mm": binary.assd}
    return {
        "dice": float(binary.dc(prediction, reference)),
        "jaccard": float(binary.jc(prediction, reference)),
        **{name: float(of(prediction, reference)) for name, of in distances.items()},
        **{name: float(of(prediction, reference, spacing)) for name, of in in_mm.items()},
    }


def monai(prediction: Mask, reference: Mask, spacing: Sequence[float], tolerance: float) -> Values:
    """MONAI's values, by our columns' names, where it measures the same in its own way.

    Its 95HD is another measure: the larger of the two directed percentiles, where MedPy's and ours
    pool the distances of both directions.
    """
    try:
        import torch
        from monai.metrics.hausdorff_distance import compute_hausdorff_distance
        from monai.metrics.meandice import compute_dice
        from monai.metrics.meaniou import compute_iou
        from monai.metrics.surface_dice import compute_surface_dice
        from monai.metrics.surface_distance import compute_average_surface_distance
    except ImportError:
        raise UserError("--beside monai needs MONAI: pip install monai") from None
    one, other = (torch.from_numpy(mask[None, None].copy()) for mask in (prediction, reference))
    size: Any = list(spacing)
    found = {
        "dice": compute_dice(one, other),
        "jaccard": compute_iou(one, other),
        "asd_mm": compute_average_surface_distance(
            one, other, include_background=True, spacing=size
        ),
        "hd95_mm": compute_hausdorff_distance(
            one, other, include_background=True, percentile=95, spacing=size
        ),
        "assd_mm": compute_average_surface_distance(
            one, other, include_background=True, symmetric=True, spacing=size
        ),
        f"nsd_{tolerance:g}mm": compute_surface_dice(
            one, other, [tolerance], include_background=True, spacing=size
        ),
    }
    return {name: float(value) for name, value in found.items()}


PEERS = {"medpy": medpy, "monai": monai}


def beside(
    peer: str, prediction: Mask, reference: Mask, spacing: Sequence[float] | None, tolerance: float
) -> Values:
    """The peer's values; none where a mask is empty, of which neither library measures distances.

    Raises UserError if the library is not installed.
    """
    size = [1.0] * prediction.ndim if spacing is None else [float(side) for side in spacing]
    if not (prediction.any() and reference.any()):
        return {}
    return PEERS[peer](prediction, reference, size, tolerance)
