"""What a file says beyond its voxels, and what is done where it contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ssl_methods.data.content import Refused
from ssl_methods.data.geometry import Affine, axis_codes, grid_difference

# What is taken where a header states its grid twice and the two differ (DatasetBase.header).
Choice = Literal["agree", "sform", "qform"]
SAME_SIZE = 0.01  # of a voxel's length: rounding to two decimals passes


@dataclass(frozen=True)
class Header:
    """Enough to write a label that opens exactly where the scan does, in whatever reads it."""

    format: Literal["nifti", "nrrd", "metaimage", "picture", "none"] = "none"
    shape: tuple[int, ...] = ()  # of the file's axes but that of channels; those of length 1 too
    fields: Any = field(default=None, repr=False)  # the header itself, as its format has it
    placed: bool = False  # does it say where the voxels lie, and not their size alone?


def check_agreement(
    shape: tuple[int, ...],
    used: tuple[str, Affine],
    other: tuple[str, Affine],
    settings: str,
    sizes_only: bool = False,
) -> None:
    """Raises Refused if two statements of one header differ by half a voxel or in voxel size.

    ``used`` and ``other`` are names and affines; ``settings`` says how to choose.
    """
    (name, affine), (other_name, other_affine) = used, other
    sizes, other_sizes = (np.linalg.norm(it[:3, :3], axis=0) for it in (affine, other_affine))
    n = len(shape)
    differ = np.abs(other_sizes[:n] - sizes[:n]) > SAME_SIZE * sizes[:n]
    apart = ""
    if not sizes_only:
        difference = grid_difference(shape, affine, shape, other_affine)
        if difference is not None:
            apart = f", {difference} apart"
    if not (differ.any() or apart):
        return

    def reading(affine: Affine) -> str:
        lengths = " x ".join(f"{size:.6g}" for size in np.linalg.norm(affine[:3, :n], axis=0))
        if sizes_only:
            return f"voxels of {lengths} mm"
        origin = ", ".join(f"{at:.6g}" for at in affine[:3, 3])
        return f"voxels of {lengths} mm, axes {axis_codes(affine, n)}, the first at ({origin}) mm"

    raise Refused(
        f"contradicts itself{apart}: {name}: {reading(affine)}; {other_name}: "
        f"{reading(other_affine)}; {settings}"
    )
