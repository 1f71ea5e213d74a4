"""The bytes of a handed-over file, with every check that its format offers, and what they hold."""

from __future__ import annotations

import bz2
import resource
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.errors import UserError, printable

# Deflate packs at most 1032 bytes into one.
MOST_PACKED = 1032
WITHOUT_VALUE = frozenset("OSUVM")  # kinds of numpy: objects, text, records, times


class Refused(ValueError):
    """What is wrong with a file, as the words after its name."""


class Truncated(ValueError):
    """The file is shorter than its header says."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library raises while it reads ``path`` becomes a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Refused as error:
        raise UserError(f"{path}: {printable(error)}") from None
    except Truncated as error:
        raise UserError(
            f"{path}: cannot be read, it may be truncated ({printable(error)})"
        ) from None
    except MemoryError:
        raise UserError(f"{path}: does not fit into memory") from None
    except Exception as error:  # libraries raise what they like at a damaged file
        reason = printable(error, 200) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason})") from None


def check_size(shape: Sequence[int], dtype: np.dtype[Any], stored: int, packed: bool) -> int:
    """The bytes that an array takes. Raises Truncated if ``stored`` bytes cannot hold it, and
    Refused if memory cannot, before any of it is taken."""
    size = prod(int(length) for length in shape) * dtype.itemsize
    if size > stored * (MOST_PACKED if packed else 1):
        raise Truncated(f"its header declares {size} bytes of voxels; the file has {stored}")
    if size > (free := free_memory()):
        raise Refused(
            f"its voxels take {size / 1e9:.1f} GB; {free / 1e9:.1f} GB of memory are free"
        )
    return size


def free_memory() -> int:
    """Bytes that this process may still take, as far as the system says."""
    limits = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(available.split()[1]) * 1024)
    with suppress(OSError, ValueError):
        most, used = (
            Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
        limits.append(int(most) - int(used))  # "max" is no number
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            limits.append(address_space - pages * resource.getpagesize())
    return max(min(limits, default=1 << 40), 0)


def gunzipped(data: bytes, most: int | None = None) -> bytes:
    """All members of a gzip stream, each with its checksum and length compared.

    Zeros after the last member are padding, as for ``gzip -t``; anything else there is refused.
    Content beyond ``most`` bytes is refused before it is unpacked.
    """
    parts: list[bytes] = []
    found = 0
    while data.strip(b"\0") or not parts:
        if parts and data[:2] != b"\x1f\x8b":
            raise Refused(f"is damaged: {len(data)} bytes follow the end of its gzip stream")
        unpack = zlib.decompressobj(wbits=31)
        room = 0 if most is None else most + 1 - found
        try:
            part = unpack.decompress(data, room)
        except zlib.error as error:
            raise Refused(f"is damaged: its gzip stream is broken ({error})") from None
        found += len(part)
        if most is not None and found > most:
            raise Refused(f"is damaged: holds more than the {most} bytes that its header declares")
        if not unpack.eof:
            raise Truncated("its gzip stream ends early")
        parts.append(part)
        data = unpack.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def gunzipped_start(data: bytes, size: int) -> bytes:
    """The first ``size`` bytes of a gzip stream, or fewer, with nothing checked."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data, size)
    except zlib.error as error:
        raise Refused(f"is damaged: its gzip stream is broken ({error})") from None


def inflated(data: bytes, most: int) -> bytes:
    """A zlib stream (MetaImage), its checksum compared. Raises as ``gunzipped``."""
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(data, most + 1)
    except zlib.error as error:
        raise Refused(f"is damaged: its zlib stream is broken ({error})") from None
    if len(content) > most:
        raise Refused(f"is damaged: holds more than the {most} bytes that its header declares")
    if not unpack.eof:
        raise Truncated("its zlib stream ends early")
    if unpack.unused_data.strip(b"\0"):
        raise Refused(
            f"is damaged: {len(unpack.unused_data)} bytes follow the end of its zlib stream"
        )
    return content


def bunzipped(data: bytes, most: int) -> bytes:
    """A bzip2 stream, its checksums compared. Raises as ``gunzipped``."""
    unpack = bz2.BZ2Decompressor()
    try:
        content = unpack.decompress(data, most + 1)
    except OSError as error:
        raise Refused(f"is damaged: its bzip2 stream is broken ({error})") from None
    if len(content) > most:
        raise Refused(f"is damaged: holds more than the {most} bytes that its header declares")
    if not unpack.eof:
        raise Truncated("its bzip2 stream ends early")
    if unpack.unused_data:
        raise Refused(
            f"is damaged: {len(unpack.unused_data)} bytes follow the end of its bzip2 stream"
        )
    return content


def array_of(content: bytes, dtype: np.dtype[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Voxels stored first axis fastest. Raises unless ``content`` is exactly as long."""
    size = prod(int(length) for length in shape) * dtype.itemsize
    if len(content) < size:
        raise Truncated(f"{len(content)} bytes of voxels; its header declares {size}")
    if len(content) > size:
        raise Refused(
            f"is damaged: holds {len(content)} bytes of voxels; its header declares {size}"
        )
    return np.frombuffer(content, dtype).reshape(shape, order="F")
