"""The values of a label: whole numbers, with what is not quite whole rounded and said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.errors import UserError

logger = logging.getLogger(__name__)

NEARLY = 1e-3  # away from a whole number, as interpolation and float arithmetic leave values


def whole_numbers(label: NDArray[Any], path: Path) -> NDArray[Any]:
    """A label's values as integers; those within 1e-3 of one are rounded, and it is said.

    Integers keep their type. Raises UserError naming the file, the count of voxels at fault and one
    of their values for NaN, infinity, and values between whole numbers.
    """
    if label.dtype.kind in "iu":
        return label
    if label.dtype == bool:
        return label.astype(np.uint8)
    if label.dtype.kind != "f":
        raise UserError(f"{path}: a label must hold numbers, this holds {label.dtype}")
    if not (finite := np.isfinite(label)).all():
        raise UserError(
            f"{path}: labels must be whole numbers; {_of(~finite)} are not whole numbers (NaN or "
            "infinite); save 0 there, or the number of their class"
        )
    whole = np.rint(label)
    away = np.abs(label - whole)
    wrong = (away > NEARLY) | (np.abs(whole) > 2**31 - 1)
    if wrong.any():
        raise UserError(
            f"{path}: labels must be whole numbers; {_of(wrong)} are not whole numbers "
            f"({_some(label[wrong])}); resample labels with nearest neighbour, or threshold them"
        )
    if (inexact := away > 0).any():
        logger.warning(
            "%s: %s are not quite whole numbers (%s) and are rounded",
            path,
            _of(inexact),
            _some(label[inexact]),
        )
    return whole.astype(np.int32)


def _of(voxels: NDArray[np.bool_]) -> str:
    count = int(np.count_nonzero(voxels))
    return f"{count} of {voxels.size} voxels"


def _some(values: NDArray[Any]) -> str:
    """The first few, each with the digits that tell it from its neighbours."""
    found = np.unique(values)
    shown = [str(value) for value in found[:3]]
    return ", ".join(shown + ["..."] * (len(found) > 3))
