"""Level sets: from a mask to a signed distance map (T), and back to a probability (T⁻¹).

Negative inside, 0 on the contour, within [-1, 1]. ``signed_distance`` works on NumPy arrays on the
host; ``to_probability`` on tensors, through their own methods, so that this module imports no
torch.

Deviations from the released ``compute_sdf``: a mask without foreground is +1 everywhere and one
without background -1 everywhere (released: 0, which T⁻¹ reads as 'undecided', and 0/0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import edt
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from ssl_methods.classes import Classes


def signed_distance(mask: NDArray, spacing: Sequence[float] | None = None) -> NDArray[np.float32]:
    """The normalised signed distance map of one mask (DTC paper, eq. 1, in its released form).

    Distances outside are divided by their largest value, as are those inside; foreground voxels
    that touch the background by a face are the contour, 0. So -1 and 1 are reached wherever either
    part has more than its contour.

    Args:
        mask: bool or integer, 2D or 3D; non-zero is foreground.
        spacing: voxel size per axis; None means 1 (as released).

    Returns:
        float32, the shape of ``mask``, in [-1, 1]; +1 or -1 everywhere if a part is absent.
    """
    inside = np.ascontiguousarray(mask != 0)
    if inside.ndim not in (2, 3):
        raise ValueError(f"mask must be 2D or 3D, not {inside.ndim}D")
    if not inside.any():
        return np.ones(inside.shape, np.float32)
    if inside.all():
        return -np.ones(inside.shape, np.float32)
    anisotropy = tuple(spacing) if spacing is not None else (1.0,) * inside.ndim
    # One transform of two labels: each voxel's distance to the nearest one of the other part.
    parts = inside + np.uint8(1)
    distance: NDArray[np.float32] = edt.edt(parts, anisotropy=anisotropy, black_border=False)
    deepest = distance.max(where=inside, initial=0)
    farthest = distance.max(where=~inside, initial=0)
    level_set = distance / np.where(inside, -deepest, farthest)
    level_set[_inner_contour(inside)] = 0
    return level_set


def _inner_contour(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Foreground voxels that touch background by a face; the border of the array is none."""
    contour = np.zeros_like(inside)
    for axis in range(inside.ndim):
        along, touches = np.moveaxis(inside, axis, 0), np.moveaxis(contour, axis, 0)
        step = along[1:] != along[:-1]
        touches[1:] |= step
        touches[:-1] |= step
    return contour & inside


def to_probability(level_set: Tensor, k: float, classes: Classes | None = None) -> Tensor:
    """T⁻¹(z) = sigmoid(-k z): DTC paper, eq. 2, with the sign that its eq. 1 needs.

    Of exclusive classes, each with a level set of its own, it is the softmax of -k z and a 0 for
    background: what the sigmoids say of them, given that at most one can be true.

    Computed in float32, which does not undo what was rounded before: k multiplies the error of z,
    and at k = 1500 that of layers in bfloat16, or TF32, makes noise of the gradient whatever the
    precision from here on. So the methods that use it ask for float32 (`least_precision`).

    Args:
        level_set: (N, K, *spatial) in [-1, 1], negative inside; of independent classes any shape.
        k: steepness, > 0; the paper uses 1500.
        classes: whether they exclude one another; None: they do not.

    Returns:
        float32 of the same shape, in [0, 1]; 0.5 on a contour.
    """
    logits = -k * level_set.float()
    return logits.sigmoid() if classes is None else classes.probability(logits)
