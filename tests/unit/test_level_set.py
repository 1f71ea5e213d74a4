"""Level sets against scipy and skimage, which the released code uses, and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt
from scipy.special import expit
from skimage.segmentation import find_boundaries

from ssl_methods.level_set import signed_distance, to_probability

masks = array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=9).flatmap(
    lambda s: arrays(bool, s)
)


def by_definition(mask, spacing=None):
    """Signed distance as the paper and the released code describe it, in scipy and skimage."""
    outside, inside = (
        distance_transform_edt(~mask, spacing),
        distance_transform_edt(mask, spacing),
    )
    signed = (outside - outside.min()) / np.ptp(outside) - (inside - inside.min()) / np.ptp(inside)
    signed[find_boundaries(mask, connectivity=1, mode="inner")] = 0
    return signed


@settings(max_examples=200, deadline=None)
@given(masks)
def test_equals_the_definition(mask):
    if mask.any() and not mask.all():
        np.testing.assert_allclose(signed_distance(mask), by_definition(mask), atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_sign_range_and_shape(mask):
    signed = signed_distance(mask)
    assert signed.dtype == np.float32
    assert signed.shape == mask.shape
    assert (signed[mask] <= 0).all()
    assert (signed[~mask] > 0).all()
    assert np.abs(signed).max() <= 1


def test_anisotropic_spacing_equals_scipy():
    mask = np.random.default_rng(0).random((9, 11, 7)) > 0.6
    spacing = (0.5, 1.0, 3.0)
    np.testing.assert_allclose(
        signed_distance(mask, spacing), by_definition(mask, spacing), atol=1e-6
    )


def test_a_ball_is_linear_in_the_radius():
    grid = np.indices((41, 41, 41)) - 20
    radius = np.sqrt((grid**2).sum(0))
    signed = signed_distance(radius <= 10)
    assert signed[20, 20, 20] == -1
    assert signed[30, 20, 20] == 0
    assert signed[25, 20, 20] == pytest.approx(
        -((26 / 101) ** 0.5)
    )  # to voxel (10, 1, 0), the nearest outside


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6)])
def test_without_foreground_or_background(shape):
    np.testing.assert_array_equal(signed_distance(np.zeros(shape, bool)), np.ones(shape))
    np.testing.assert_array_equal(signed_distance(np.ones(shape, bool)), -np.ones(shape))


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match="2D or 3D"):
        signed_distance(np.zeros(5, bool))


def test_inverse_is_the_logistic_function():
    z = torch.linspace(-1, 1, 101, dtype=torch.float64)
    for k in (1.0, 10.0, 1500.0):
        expected = expit(-k * z.numpy())
        np.testing.assert_allclose(to_probability(z, k).numpy(), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(masks)
def test_inverse_of_the_level_set_is_the_mask(mask):
    back = to_probability(torch.from_numpy(signed_distance(mask)), k=1500).numpy()
    contour = signed_distance(mask) == 0
    np.testing.assert_array_equal((back > 0.5)[~contour], mask[~contour])
    np.testing.assert_array_equal(back[contour], 0.5)


def test_inverse_is_float32_under_autocast():
    z = torch.tensor([0.01], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        result = to_probability(z, 1500.0)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, torch.sigmoid(-1500 * z.float()))
