"""Distances between surfaces against scipy's, whichever way they are computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ssl_methods.evaluation import surfaces
from ssl_methods.evaluation.surfaces import distances, surface

Mask = NDArray[np.bool_]
SPACINGS = [None, (0.625, 0.625, 0.625), (0.7, 1.1, 2.5), (3.0, 0.4, 0.9)]


def expected(start: Mask, end: Mask, spacing: tuple[float, ...] | None) -> NDArray[np.float64]:
    return ndimage.distance_transform_edt(~end, sampling=spacing)[start]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask, tuple[float, ...] | None]:
    """Two masks with foreground: noise, dense or sparse, within a box anywhere on the grid."""
    dimensions = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 40)) for _ in range(dimensions))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def mask() -> Mask:
        ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
        box = tuple(slice(*end) for end in ends)
        found = np.zeros(shape, bool)
        found[box] = rng.random(found[box].shape) < draw(st.sampled_from([0.001, 0.05, 0.5]))
        found[tuple(rng.integers(size) for size in shape)] = True
        return found

    spacing = draw(st.sampled_from(SPACINGS))
    return mask(), mask(), None if spacing is None else spacing[:dimensions]


@pytest.mark.parametrize(
    ("reach", "per_near", "per_far"),
    [
        (surfaces.REACH, surfaces.VOXELS_PER_NEAR, surfaces.VOXELS_PER_FAR),
        (surfaces.REACH, 0, 0),  # neighbours and the tree
        (6, 0, 0),  # more neighbours
        (0, 0, 0),  # the tree alone
        (0, 0, 10**9),  # the tree for near voxels, the transform as soon as one is far
        (0, 10**9, 0),  # the transform alone
    ],
)
def test_equal_scipy_however_computed(
    monkeypatch: pytest.MonkeyPatch, reach: int, per_near: int, per_far: int
) -> None:
    monkeypatch.setattr(surfaces, "REACH", reach)
    monkeypatch.setattr(surfaces, "VOXELS_PER_NEAR", per_near)
    monkeypatch.setattr(surfaces, "VOXELS_PER_FAR", per_far)

    @settings(max_examples=80, deadline=None)
    @given(pairs())
    def check(pair: tuple[Mask, Mask, tuple[float, ...] | None]) -> None:
        np.testing.assert_allclose(distances(*pair), expected(*pair), rtol=1e-6, atol=0)

    check()


@pytest.mark.parametrize("spacing", SPACINGS)
def test_near_and_far_voxels_together(spacing: tuple[float, ...] | None) -> None:
    """An organ with a stray piece 80 voxels away, and one with so much noise that it is dense."""
    grid = np.indices((110, 50, 44))
    ball = sum((axis - 20) ** 2 for axis in grid) < 14**2
    reference, stray = surface(ball), ball.copy()
    stray[100:103, 20:23, 20:23] = True
    noise = ball | (np.random.default_rng(0).random(ball.shape) < 0.2)
    for prediction in (surface(stray), surface(noise)):
        for pair in ((prediction, reference), (reference, prediction)):
            np.testing.assert_allclose(
                distances(*pair, spacing), expected(*pair, spacing), rtol=1e-6, atol=0
            )


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_surface_is_what_an_erosion_removes(
    pair: tuple[Mask, Mask, tuple[float, ...] | None],
) -> None:
    """On noise and on its complement, which touches the border."""
    for mask in (pair[0], ~pair[1]):
        assert (surface(mask) == mask ^ ndimage.binary_erosion(mask)).all()
