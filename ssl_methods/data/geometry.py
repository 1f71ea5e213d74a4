"""Cropping and resampling with the geometry kept right: voxel centres, affines, world coordinates.

Affines are 4x4 and map a voxel's index (its centre) to mm; in 2D the third index is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Affine = NDArray[np.float64]

HALF = 0.499  # voxel: half of one, less what float32 headers lose


def affine_of(spacing: Sequence[float]) -> Affine:
    """Affine of a scan without orientation: mm from the first voxel along its own axes."""
    return np.diag([*spacing, *[1.0] * (4 - len(spacing))])


def axis_codes(affine: Affine, dimensions: int = 3) -> str:
    """Where the axes of an array point to, such as "RAS" or "LPI": R right or L left, A anterior
    or P posterior, S superior or I inferior; of an oblique axis the nearest.

    No two axes share a direction of the body; in 2D there are two letters.
    """
    return "".join(
        "LPI"[line] if sign < 0 else "RAS"[line] for line, sign in _lines(affine, dimensions)
    )


def reoriented(array: Array, affine: Affine, codes: str) -> tuple[Array, Affine]:
    """The same voxels at the same places, with the axes in the order and direction of ``codes``.

    The array is (*spatial) or (C, *spatial), with as many spatial axes as there are letters. Its
    inverse is the same function with the codes that it had.
    Raises ValueError if the codes are of other axes than the array's: a 2D scan has but two.
    """
    wanted = [
        ("RAS".index(code), 1.0) if code in "RAS" else ("LPI".index(code), -1.0) for code in codes
    ]
    return _turned(array, affine, _lines(affine, len(codes)), wanted)


def turned_to(
    array: Array, affine: Affine, reference: Affine, dimensions: int
) -> tuple[Array, Affine]:
    """The same voxels at the same places, with the axes in the order and direction of another grid.

    The array is (*spatial) or (C, *spatial). Raises ValueError for 2D scans in different planes.
    """
    between = np.linalg.inv(reference) @ affine
    own = [(axis, 1.0) for axis in range(dimensions)]
    return _turned(array, affine, _lines(between, dimensions), own)


def _lines(affine: Affine, dimensions: int) -> list[tuple[int, float]]:
    """For each axis of an array the nearest axis of the world, and whether it goes along it."""
    from nibabel.orientations import io_orientation

    found = io_orientation(affine[:, [*range(dimensions), 3]])
    return [(int(line), float(sign)) for line, sign in found]


def _turned(
    array: Array,
    affine: Affine,
    found: list[tuple[int, float]],
    wanted: list[tuple[int, float]],
) -> tuple[Array, Affine]:
    """Axes that run along the lines ``found``, brought to run along those ``wanted``."""
    n = len(wanted)
    lines = [line for line, _ in found]
    if sorted(lines) != sorted(line for line, _ in wanted):
        raise ValueError("the axes lie in other planes")
    lead = array.ndim - n
    grid = np.eye(4)
    grid[:n, :n] = 0
    order, flips = [], []
    for to, (line, sign) in enumerate(wanted):
        axis = lines.index(line)
        order.append(lead + axis)
        grid[axis, to] = 1.0
        if found[axis][1] != sign:
            flips.append(lead + to)
            grid[axis, to], grid[axis, 3] = -1.0, array.shape[lead + axis] - 1
    turned = np.flip(array.transpose(*range(lead), *order), tuple(flips))
    return np.ascontiguousarray(turned), affine @ grid


class Difference(NamedTuple):
    """How far a grid lies from where another says, at the corner where that is most."""

    axis: int  # of the reference
    voxels: float  # along that axis, of the reference
    mm: float

    def __str__(self) -> str:
        return f"up to {self.voxels:.3g} voxels along axis {'xyz'[self.axis]}, {self.mm:.3g} mm"


def grid_difference(
    shape: Sequence[int], affine: Affine, other_shape: Sequence[int], other: Affine
) -> Difference | None:
    """Where another grid of the same shape lies half a voxel or more from the reference; or None.

    Compared at the outer corners, along each axis of the reference in its voxels, so that origin,
    angle and extent all count, whatever the voxels' shape.
    """
    n = len(shape)
    if tuple(shape) != tuple(other_shape):
        raise ValueError(f"shapes {tuple(shape)} and {tuple(other_shape)} differ")
    ends = [(-0.5, size - 0.5) for size in shape]
    corners = np.zeros((4, 2**n))
    corners[:n] = np.array(np.meshgrid(*ends)).reshape(n, -1)
    corners[3] = 1
    apart = (np.linalg.inv(affine) @ other @ corners - corners)[:3]
    most = np.abs(apart).max(axis=1)
    axis = int(most.argmax())
    if most[axis] < HALF:
        return None
    corner = apart[:, np.abs(apart[axis]).argmax()]
    return Difference(axis, float(most[axis]), float(np.linalg.norm(affine[:3, :3] @ corner)))


def bounding_box(mask: Array, margin: Sequence[float]) -> tuple[slice, ...]:
    """The box of the true voxels widened by ``margin`` voxels per axis, clipped to the array.

    An empty mask gives the whole array.
    """
    if not mask.any():
        return tuple(slice(0, size) for size in mask.shape)
    box = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        wide = int(np.ceil(margin[axis] - 1e-6))
        box.append(slice(max(0, int(inside[0]) - wide), min(size, int(inside[-1]) + 1 + wide)))
    return tuple(box)


def shifted(affine: Affine, start: Sequence[float], step: Sequence[float]) -> Affine:
    """The affine of a grid whose voxel i lies at ``start + step * i`` of the given grid."""
    grid = np.eye(4)
    for axis, (first, stride) in enumerate(zip(start, step, strict=True)):
        grid[axis, axis], grid[axis, 3] = stride, first
    return affine @ grid


class Grid:
    """A grid of another voxel size over the same volume, both centred on the same point.

    ``shape`` is its own; its voxel i lies at ``start + step * i`` of the given grid.
    """

    def __init__(
        self, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
    ) -> None:
        old = np.asarray(shape, dtype=np.float64)
        self.step = np.asarray(target, dtype=np.float64) / np.asarray(spacing, dtype=np.float64)
        self.shape = tuple(int(size) for size in np.maximum(1, np.rint(old / self.step)))
        self.start = (old - 1) / 2 - (np.asarray(self.shape) - 1) / 2 * self.step

    def image(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample (*spatial): the mean over each new voxel where voxels grow, else linear.

        The mean keeps what is finer than the new grid from aliasing.
        """
        from scipy import ndimage

        for axis in np.flatnonzero(self.step > 1):
            image = self._mean(image, int(axis))
        if (self.step >= 1).all():
            return image
        finer = self.step < 1
        step, start = np.where(finer, self.step, 1.0), np.where(finer, self.start, 0.0)
        new: NDArray[np.float32] = ndimage.affine_transform(
            image, step, start, self.shape, order=1, mode="nearest"
        )
        return new

    def label(self, label: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
        """Resample (*spatial) of values 0..K: each voxel takes the class that fills most of it.

        Foreground wins a tie, so that a wall one voxel thick outlives a doubling of the voxels.
        """
        best = self.image((label == 0).astype(np.float32)) - 1e-4
        result = np.zeros(self.shape, dtype=np.uint8)
        for value in range(1, classes + 1):
            filled = self.image((label == value).astype(np.float32))
            wins = filled > best
            result[wins] = value
            best[wins] = filled[wins]
        return result

    def _mean(self, image: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """Along one axis: the sum from the first voxel, read at the edges of the new voxels."""
        size = image.shape[axis]
        edges = self.start[axis] + self.step[axis] * (np.arange(self.shape[axis] + 1) - 0.5) + 0.5
        edges = edges.clip(0, size)
        sums = np.zeros((size + 1, *np.delete(image.shape, axis)))
        np.cumsum(np.moveaxis(image, axis, 0), axis=0, out=sums[1:])
        before = np.minimum(edges.astype(int), size - 1)
        shares = (edges - before).reshape(-1, *[1] * (image.ndim - 1))
        at_edges = sums[before] * (1 - shares) + sums[before + 1] * shares
        widths = np.diff(edges).reshape(-1, *[1] * (image.ndim - 1))
        means: NDArray[np.float32] = (np.diff(at_edges, axis=0) / widths).astype(np.float32)
        return np.moveaxis(means, 0, axis)


def restore_label(
    label: NDArray[np.uint8], affine: Affine, shape: Sequence[int], original_affine: Affine
) -> NDArray[np.uint8]:
    """Put a label on another grid by nearest neighbour in world coordinates.

    ``label`` (*spatial) lies at ``affine``, the result of ``shape`` at ``original_affine``; it is 0
    wherever the label's grid does not reach.
    """
    from scipy import ndimage

    n = label.ndim
    between = np.linalg.inv(affine) @ original_affine
    return ndimage.affine_transform(
        label, between[:n, :n], between[:n, 3], tuple(shape), order=0, mode="grid-constant", cval=0
    )


def restore_values(
    values: NDArray[np.float32], affine: Affine, shape: Sequence[int], original_affine: Affine
) -> NDArray[np.float32]:
    """``restore_label`` for values such as probabilities, which are interpolated linearly."""
    from scipy import ndimage

    n = values.ndim
    between = np.linalg.inv(affine) @ original_affine
    return ndimage.affine_transform(
        values, between[:n, :n], between[:n, 3], tuple(shape), order=1, mode="grid-constant", cval=0
    )
