"""Reading arrays that were handed over: .npy, and HDF5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import Refused, check_size, reading
from ssl_methods.files import check_regular

MAGIC = b"\x93NUMPY"
NUMBERS = "buif"  # kinds of numpy: truth values and whole or real numbers


def read_npy(path: Path) -> NDArray[Any]:
    """An array of numbers, mapped from the file and read only.

    Raises UserError naming the file if it is no .npy of numbers, or longer or shorter than it says.
    """
    check_regular(path)
    with reading(path):
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise Refused("cannot be read, it is no .npy file")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype.kind not in NUMBERS:
            raise Refused(f"expected labels, found {array.dtype} of shape {array.shape}")
        if (stored := path.stat().st_size) != array.offset + array.nbytes:
            raise Refused(
                f"is damaged: holds {stored} bytes; its header declares "
                f"{array.offset + array.nbytes}"
            )
    return array


def read_hdf5(path: Path, keys: Sequence[str]) -> list[NDArray[Any]]:
    """The arrays of these names, of numbers, each of the file's own type.

    An HDF5 file can name other files as its content; such arrays are refused.
    Raises UserError naming the file if it is broken, a key is missing or no array of numbers, or
    an array is larger than the file can hold or memory has room for. The library may crash on a
    file that was damaged in the right place: where that must not end a process, read in another.
    """
    import h5py

    check_regular(path)
    stored = path.stat().st_size
    with reading(path), h5py.File(path, "r") as file:
        found = []
        for key in keys:
            if key not in file:
                raise Refused(f"has no '{key}' (keys: {', '.join(list(file)[:20])})")
            own_link = isinstance(file.get(key, getlink=True), h5py.HardLink)
            item = file[key] if own_link else None
            if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
                raise Refused(f"'{key}' is not an array within the file")
            if item.dtype.kind not in NUMBERS or item.shape is None:
                raise Refused(f"'{key}' is no array of numbers ({item.dtype}, shape {item.shape})")
            check_size(item.shape, item.dtype, stored, packed=item.chunks is not None)
            found.append(item[()])
        return found
