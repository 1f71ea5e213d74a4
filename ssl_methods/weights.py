"""Files of tensors: read without running code in them, and with damage noticed.

A sealed file is what ``torch.save`` writes with a checksum of itself as its ZIP comment, so that
``torch.load`` and every ZIP program read it as before.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from ssl_methods.errors import UserError, printable
from ssl_methods.files import write_with

ZIP = b"PK\3\4"  # with which its first part begins
FOLDER = 0x10  # of a part's attributes
# A ZIP file ends in the length of its comment, two bytes, and the comment: none, or a SHA-256 in
# hexadecimal digits, of the file as it was without it.
NO_COMMENT = (0).to_bytes(2, "little")
LENGTH = (64).to_bytes(2, "little")
TAIL = 2 + 64


class Damaged(UserError):
    """A file is not what was written, or cannot be read."""


def load(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU, without running any code in it. Raises Damaged.

    Every tensor is held to the checksum that it has in a ZIP file, which PyTorch passes over. What
    PyTorch before 1.6 wrote is none, and has no checksum.
    """
    if not path.is_file():
        raise Damaged(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP)) == ZIP:
                _check_members(file)
    except Exception as error:  # of zipfile, which raises of all kinds
        raise Damaged(f"{path}: is damaged ({reason(error)})") from None
    return _loaded(path)


def _check_members(file: IO[bytes]) -> None:
    """Raises ValueError for what PyTorch never packs, and unless each checksum is right."""
    with zipfile.ZipFile(file) as archive:
        for part in archive.infolist():
            # Of a folder, by this bit or its name, PyTorch reads nothing and says nothing.
            if part.compress_type != zipfile.ZIP_STORED or part.external_attr & FOLDER:
                raise ValueError(f"its part {part.filename} is compressed, or a folder")
        if (name := archive.testzip()) is not None:
            raise ValueError(f"the checksum of its part {name} differs")


def _loaded(path: Path, mmap: bool = False) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # whatever bytes may lie there; torch raises of all kinds
        raise Damaged(f"{path}: cannot be loaded ({reason(error)})") from None


def load_state(path: Path) -> dict[str, Tensor]:
    """A state dict: names and tensors. Raises Damaged."""
    state = load(path)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise Damaged(f"{path}: cannot be loaded (expected a state dict of tensors)")
    return dict(state)


def load_into(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put a state dict that came from ``path`` into a module. Raises Damaged if it does not fit."""
    try:
        module.load_state_dict(state)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise Damaged(f"{path}: cannot be loaded (is of other settings: {why})") from None


def save_sealed(path: Path, content: Any) -> None:
    """``torch.save``, with a checksum of the file in it."""

    def write(file: IO[bytes]) -> None:
        hashing = _Hashing(file)
        torch.save(content, cast("IO[bytes]", hashing))
        file.seek(-len(NO_COMMENT), os.SEEK_END)
        file.write(LENGTH + hashing.sha256.hexdigest().encode())

    write_with(path, write)


def load_sealed(path: Path, mmap: bool = False, unsealed: bool = False) -> Any:
    """What ``save_sealed`` wrote. Raises Damaged if a bit of it is another.

    ``unsealed``: also take a file of an earlier version, which carries no checksum.
    """
    try:
        with path.open("rb") as file:
            left = max(os.fstat(file.fileno()).st_size - TAIL, 0)
            sha256 = hashlib.sha256()
            while left and (block := file.read(min(left, 1 << 20))):
                sha256.update(block)
                left -= len(block)
            sha256.update(NO_COMMENT)
            tail = file.read()
    except OSError as error:
        raise Damaged(f"{path}: cannot be read ({error.strerror})") from None
    without = tail[TAIL - 22 :].startswith(b"PK\5\6") and tail.endswith(NO_COMMENT)
    if tail != LENGTH + sha256.hexdigest().encode() and not (unsealed and without):
        raise Damaged(f"{path}: is damaged (its checksum differs)")
    return _loaded(path, mmap)


def reason(error: Exception) -> str:
    """The first line of an exception, for people."""
    if isinstance(error, pickle.UnpicklingError):  # torch's own words say how to run code in it
        return "holds other things than tensors and plain values, or is damaged"
    return printable((str(error).splitlines() or [""])[0], 200) or type(error).__name__


class _Hashing:
    """Writes to a file, and digests what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, block: Any) -> int:
        self.sha256.update(block)
        return self._file.write(block)

    def flush(self) -> None:
        self._file.flush()
