"""Fields over a grid, of which generated cases are made: signed distances and smooth noise.

Distances are in voxels, negative inside.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]
Vector = NDArray[np.float64]


def union(distances: list[Field]) -> Field:
    """The distance to the nearest of several structures."""
    nearest: Field = np.minimum.reduce(distances)
    return nearest


def dot(weights: Field, offsets: list[Field]) -> Field:
    """The product of one vector with the vector at every voxel, given as one open grid per axis."""
    products = [weight * offset for weight, offset in zip(weights, offsets, strict=True)]
    return reduce(np.add, products)


def inside(distance: Field) -> Field:
    """How much of each voxel is inside: 1 within, 0 without, a ramp of one voxel between."""
    ramp: Field = np.clip(np.float32(0.5) - distance, 0, 1)
    return ramp


def smooth_field(rng: Generator, shape: tuple[int, ...], scale: float) -> Field:
    """Gaussian random field of unit variance: white noise on knots ``scale`` voxels apart, blurred.

    One axis at a time, and with einsum rather than BLAS, whose last bits depend on the threads.
    """
    weights = [knot_weights(size, scale) for size in shape]
    knots = [weight.shape[1] for weight in weights]
    field: Field = rng.standard_normal(knots, dtype=np.float32)
    for weight in weights:
        field = np.einsum("k...,xk->...x", field, weight)
    field /= max(float(field.std()), 1e-6)
    return field


def knot_weights(size: int, scale: float) -> Field:
    """(size, knots): the Gaussian weight of each knot at each voxel; knots reach past both ends."""
    knots = np.arange(-2, size / scale + 2, dtype=np.float32)
    distance = np.arange(size, dtype=np.float32)[:, np.newaxis] / np.float32(scale) - knots
    weights: Field = np.exp(-(distance**2) / np.float32(0.8))
    return weights


def unit(vector: Any) -> Vector:
    """The vector with length one."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
