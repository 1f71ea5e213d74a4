"""Images that ITK writes and reads, an independent truth for places; grids drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from hypothesis import strategies as st

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)


def rotation(draw_axis: tuple[float, float, float], angle: float) -> np.ndarray:
    x, y, z = np.array(draw_axis) / np.linalg.norm(draw_axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@st.composite
def affines(draw: Any, most_angle: float = 0.7) -> np.ndarray:
    """Any order and direction of axes, turned by up to ``most_angle``, anisotropic, anywhere."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    angle = draw(st.sampled_from((0.0, 0.01, 0.2, most_angle)))
    axis = draw(st.sampled_from(((1.0, 0, 0), (0, 1.0, 0.5), (1.0, -2.0, 3.0))))
    sizes = draw(st.tuples(*[st.sampled_from((0.3, 0.5, 1.0, 1.25, 5.0))] * 3))
    affine = np.eye(4)
    affine[:3, :3] = rotation(axis, angle) @ np.eye(3)[:, order] * signs * sizes
    affine[:3, 3] = draw(st.tuples(*[st.sampled_from((-120.5, -3.0, 0.0, 41.25))] * 3))
    return affine


shapes = st.tuples(*[st.integers(2, 6)] * 3)


def noise(shape: tuple[int, ...], dtype: str = "f4", seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(60, 20, shape)).clip(0, 120).astype(dtype)


def itk_save(path: Path, array: np.ndarray, affine: np.ndarray, compressed: bool = False) -> None:
    """ITK arrays are (z, y, x), its world is LPS."""
    n = array.ndim
    image = SimpleITK.GetImageFromArray(array.T)
    lps = (LPS @ affine)[:n]
    sizes = np.linalg.norm(lps[:, :n], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((lps[:, :n] / sizes).ravel().tolist())
    image.SetOrigin(lps[:n, 3].tolist())
    SimpleITK.WriteImage(image, str(path), compressed)


def itk_place(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape and the affine in RAS that ITK reads."""
    image = SimpleITK.ReadImage(str(path))
    n = image.GetDimension()
    affine = np.eye(4)
    affine[:n, :n] = np.array(image.GetDirection()).reshape(n, n) * image.GetSpacing()
    affine[:n, 3] = image.GetOrigin()
    return image.GetSize(), LPS @ affine
