"""Level sets as tensor operations: the values of scipy, and those that are made on the host."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt

from ssl_methods import distance
from ssl_methods.distance import distances, inner_contour, signed_distances
from ssl_methods.level_set import signed_distance

masks = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9).flatmap(
    lambda s: arrays(bool, (2, *s))
)
spacings = st.lists(st.floats(0.1, 5), min_size=3, max_size=3)


def blobs(shape, seed=0):
    """A few touching balls: masks as large and as smooth as real ones."""
    rng = np.random.default_rng(seed)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    mask = np.zeros(shape, bool)
    for _ in range(3):
        centre, radius = rng.uniform(0.2, 0.8, len(shape)) * shape, rng.uniform(0.1, 0.3)
        mask |= np.linalg.norm(grid - centre, axis=-1) < radius * min(shape)
    return mask


@settings(max_examples=150, deadline=None)
@given(masks, spacings)
def test_distances_are_scipys(mask, spacing):
    """Each of two classes apart, any spacing, 2D and 3D."""
    spacing = spacing[: mask.ndim - 1]
    found = distances(torch.from_numpy(mask)[None], spacing)[0].numpy()
    for channel, each in zip(mask, found, strict=True):
        if channel.any():
            expected = distance_transform_edt(~channel, spacing)
            np.testing.assert_allclose(each, expected, rtol=1e-6)
        else:
            assert np.isinf(each).all()


@settings(max_examples=150, deadline=None)
@given(masks, st.none() | spacings)
def test_level_sets_are_those_of_the_host(mask, spacing):
    spacing = spacing and spacing[: mask.ndim - 1]
    found = signed_distances(torch.from_numpy(mask)[None].float(), spacing)[0]
    expected = np.stack([signed_distance(channel, spacing) for channel in mask])
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(48, 40), (33, 48, 20)])
def test_squares_are_exact_on_a_patch(shape):
    mask = blobs(shape)
    found = distances(torch.from_numpy(mask)[None, None])[0, 0].numpy()
    expected = distance_transform_edt(~mask)
    np.testing.assert_array_equal(np.round(found**2), np.round(expected**2))
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_the_bound_on_memory_changes_nothing(monkeypatch):
    mask = torch.from_numpy(blobs((17, 9, 12)))[None, None]
    whole = distances(mask)
    monkeypatch.setattr(distance, "LARGEST", 1000)
    assert torch.equal(distances(mask), whole)


def test_no_value_is_read_back_from_the_device():
    """Tensors without values refuse to be looked at, as a GPU would have to be waited for."""
    masks = torch.ones(2, 1, 8, 8, 4, device="meta")
    assert signed_distances(masks).shape == masks.shape


def test_the_contour_touches_by_a_face():
    inside = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    inside[..., 1:4, 1:] = True
    expected = inside.clone()
    expected[..., 2, 2:] = False  # the last column lies on the border of the patch
    assert torch.equal(inner_contour(inside), expected)
