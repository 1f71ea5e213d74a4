"""Surfaces of masks, and exact Euclidean distances from the voxels of one to another.

Distances are wanted at surface voxels alone, a few hundredths of a volume, and most are a voxel
or two: those are found by looking at the neighbours, the nearest first. A k-d tree of the other
surface answers the rest, far ones slowly; the distance transform of the whole volume costs the same
whatever the masks. ``distances`` takes what is cheaper, as measured on left atria and on masks made
to be hard (`benchmarks/metrics.py`). All are exact, the transform to the rounding of single
precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]

# In the tree one look-up of a near voxel takes about as long as the transform of 20 voxels (1.1 us,
# 60 ns), one of a far voxel as that of 100 to 2500.
VOXELS_PER_NEAR = 20
VOXELS_PER_FAR = 1000
NEAR = 8  # voxels
REACH = 3  # voxels: how far neighbours are looked at one by one


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Bounding box of a mask with foreground; nothing beyond it bears on its surface."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        box.append(slice(filled[0], filled[-1] + 1))
    return tuple(box)


def surface(mask: Mask) -> Mask:
    """Foreground voxels with a face neighbour outside; what is beyond the array is outside."""
    inner = np.zeros_like(mask)
    core = (slice(1, -1),) * mask.ndim
    inner[core] = mask[core]
    for axis in range(mask.ndim):
        for start, stop in ((0, -2), (2, None)):
            neighbour = (*core[:axis], slice(start, stop), *core[axis + 1 :])
            inner[core] &= mask[neighbour]
    return mask & ~inner


def distances(
    start: Mask, end: Mask, spacing: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Distance of each voxel of ``start`` to the nearest of ``end``, in the array's order.

    Args:
        start, end: of one shape, 2D or 3D, C-contiguous; ``end`` has at least one voxel.
        spacing: voxel size per axis; None means 1.

    Returns:
        One number per voxel of ``start``, in the unit of ``spacing``.
    """
    size = (1.0,) * start.ndim if spacing is None else tuple(map(float, spacing))
    if max(np.count_nonzero(start), np.count_nonzero(end)) * VOXELS_PER_NEAR > start.size:
        return _transformed(start, end, size)
    lengths = _among_neighbours(start, end, size)
    left = np.isinf(lengths)
    if not left.any():
        return lengths
    points = _points(start, size)
    # Balancing takes longer than it saves.
    tree = cKDTree(_points(end, size), balanced_tree=False, compact_nodes=False)
    lengths[left] = tree.query(points[left], distance_upper_bound=NEAR * _edge(size))[0]
    far = np.isinf(lengths)
    if np.count_nonzero(far) * VOXELS_PER_FAR > start.size:
        return _transformed(start, end, size)
    lengths[far] = tree.query(points[far])[0]
    return lengths


def _among_neighbours(start: Mask, end: Mask, size: tuple[float, ...]) -> NDArray[np.float64]:
    """``distances``, but infinity where it is more than ``REACH`` voxels."""
    reach = REACH * _edge(size)
    margin = [int(reach // edge) for edge in size]
    steps = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in margin], indexing="ij"), axis=-1)
    steps = steps.reshape(-1, start.ndim)
    away = np.sqrt(((steps * size) ** 2).sum(axis=1))
    padded = np.pad(end, [(m, m) for m in margin])
    offsets, there = steps @ np.array(padded.strides), padded.ravel()
    where = np.flatnonzero(np.pad(start, [(m, m) for m in margin]))
    lengths = np.full(len(where), np.inf)
    left = np.arange(len(where))
    for length in np.unique(away[away <= reach]):
        hit = np.zeros(len(left), bool)
        for offset in offsets[away == length]:
            hit |= there[where[left] + offset]
        lengths[left[hit]] = length
        left = left[~hit]
        if not len(left):
            break
    return lengths


def _edge(size: tuple[float, ...]) -> float:
    """Edge of a cube (or square) as large as a voxel."""
    return math.prod(size) ** (1 / len(size))


def _points(mask: Mask, size: Sequence[float]) -> NDArray[np.float64]:
    """(N, dimensions): where the foreground voxels are."""
    where = np.unravel_index(np.flatnonzero(mask), mask.shape)
    points: NDArray[np.float64] = np.stack(where, axis=1).astype(np.float64)
    points *= size
    return points


def _transformed(start: Mask, end: Mask, size: tuple[float, ...]) -> NDArray[np.float64]:
    squared = edt.edtsq(~end, anisotropy=size, black_border=False, parallel=1)
    lengths: NDArray[np.float64] = np.sqrt(squared[start], dtype=np.float64)
    return lengths
