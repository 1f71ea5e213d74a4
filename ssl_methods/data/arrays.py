"""Reading a .npy file that was handed over."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import Refused, reading
from ssl_methods.errors import UserError

MAGIC = b"\x93NUMPY"


def read_npy(path: Path) -> NDArray[Any]:
    """An array of numbers, mapped from the file and read only.

    Raises UserError naming the file if it is no .npy of numbers, or longer or shorter than it says.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        raise UserError(f"{path}: no such file") from None
    if not regular:
        raise UserError(f"{path}: is no regular file")
    with reading(path):
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise Refused("cannot be read, it is no .npy file")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype.kind not in "buif":
            raise Refused(f"expected labels, found {array.dtype} of shape {array.shape}")
        if (stored := path.stat().st_size) != array.offset + array.nbytes:
            raise Refused(
                f"is damaged: holds {stored} bytes; its header declares "
                f"{array.offset + array.nbytes}"
            )
    return array
