"""What NRRD and MetaImage share: a header in text, and voxels behind it or in files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_methods.data.content import Refused
from ssl_methods.data.geometry import Affine
from ssl_methods.files import file_below, read_regular

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MOST_FILES = 100_000


def numbers(text: str, what: str, count: int | None = None) -> list[float]:
    """Raises Refused unless ``text`` holds (``count``) finite numbers and nothing else."""
    try:
        found = [float(word) for word in text.split()]
    except ValueError:
        raise Refused(f"its '{what}' is no list of numbers ({text[:80]})") from None
    if not np.isfinite(found).all() or (count is not None and len(found) != count):
        raise Refused(f"its '{what}' needs {count or 'finite'} numbers (given: {text[:80]})")
    return found


def whole(text: str, what: str, count: int | None = None) -> list[int]:
    found = numbers(text, what, count)
    if any(value != int(value) for value in found):
        raise Refused(f"its '{what}' needs whole numbers (given: {text[:80]})")
    return [int(value) for value in found]


def sizes_of(text: str, what: str, dimension: int) -> tuple[int, ...]:
    sizes = tuple(whole(text, what, dimension))
    if not 1 <= dimension <= 16 or min(sizes) < 1:
        raise Refused(f"its '{what}' gives no valid shape ({text[:80]})")
    return sizes


def files_named(folder: Path, pattern: str, first: int, last: int, step: int) -> list[Path]:
    """Files of a name with one counter, such as ``slice%03d.raw``."""
    if len(re.findall("%", pattern)) != 1 or not re.search(r"%0?\d{0,2}d", pattern):
        raise Refused(f"its data files are named '{pattern}', which holds no counter such as %03d")
    if step == 0 or not 0 <= (last - first) // step < MOST_FILES:
        raise Refused(f"its data files are numbered from {first} to {last} by {step}")
    return [file_below(folder, pattern % i) for i in range(first, last + np.sign(step), step)]


def content_of(files: Sequence[Path]) -> list[bytes]:
    return [read_regular(file) for file in files]


def affine_with(columns: Sequence[Sequence[float]], origin: Sequence[float]) -> Affine:
    """Affine of two or three directions in space; in 2D the third is the normal, 1 mm long."""
    affine = np.eye(4)
    for axis, column in enumerate(columns):
        affine[:3, axis] = 0
        affine[: len(column), axis] = column
    if len(columns) == 2:
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        length = np.linalg.norm(normal)
        affine[:3, 2] = normal / length if length else 0
    affine[: len(origin), 3] = origin
    return affine


def ascii_array(content: bytes, dtype: np.dtype[Any], count: int) -> bytes:
    """Numbers written as text -> their bytes. Raises Refused unless there are ``count``."""
    words = content.replace(b",", b" ").split()
    if len(words) != count:
        raise Refused(f"holds {len(words)} numbers; its header declares {count}")
    try:
        values = np.array(words).astype(np.float64 if dtype.kind == "f" else np.int64)
    except (ValueError, OverflowError):
        raise Refused("holds voxels that are no numbers") from None
    return values.astype(dtype).tobytes()
