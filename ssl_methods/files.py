"""Files are written whole: a temporary name in the same folder, sync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ssl_methods import yaml_core
from ssl_methods.errors import UserError, printable

LARGEST_TEXT_MB = 64.0
LARGEST_JSON_MB = 512.0  # the manifest of a million cases
LONGEST_NUMBER = 300  # digits; more fit in no float


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """An open binary file that becomes ``path`` when the block ends, and nothing if it fails.

    Raises UserError if the folder cannot be written or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
        os.fchmod(handle, 0o644)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_text(path: Path, text: str) -> None:
    with atomic(path) as file:
        file.write(text.encode())


def write_json(path: Path, data: Any) -> None:
    """Deterministic text: equal data give equal bytes. NaN is refused (it is not JSON)."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_yaml(path: Path, data: Any) -> None:
    write_text(path, yaml_core.dump(data))


def write_with(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """``write`` puts the content into the open file, e.g. ``lambda f: np.save(f, array)``."""
    with atomic(path) as file:
        write(file)


def read_text(path: Path, largest_mb: float = LARGEST_TEXT_MB) -> str:
    """The text of a file that a user may have written: UTF-8, without its byte-order mark.

    Raises UserError naming the file if it is absent, no regular file (which could be waited for
    without end), larger than ``largest_mb`` or not UTF-8.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(int(largest_mb * 1e6) + 1) if regular else b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:  # a name with a NUL
        raise UserError(f"{str(path)!r}: cannot be the name of a file") from None
    if not regular:
        raise UserError(f"{path}: is a pipe, socket or device; name a file")
    if len(content) > largest_mb * 1e6:
        raise UserError(
            f"{path}: is larger than {largest_mb:g} MB, too large for what it should be"
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} in line {line}"
        raise UserError(f"{path}: is not UTF-8 ({byte}); save it as UTF-8") from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def check_regular(path: Path) -> None:
    """Raises UserError unless this is a regular file or a link to one; a FIFO would block."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from None
    if not regular:
        raise UserError(f"{path}: is no regular file")


def read_regular(path: Path) -> bytes:
    """The content of a regular file. Raises UserError if it is none, is empty or unreadable."""
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not content:
        raise UserError(f"{path}: is empty")
    return content


def file_below(folder: Path, name: str) -> Path:
    """The file that a handed-over file names, if it is a regular one below that file's folder.

    Raises UserError for an absolute path, one with '..', a link that leads out, or no regular file.
    """
    path = folder / name
    within = not Path(name).is_absolute() and ".." not in Path(name).parts
    try:
        if not within or not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{printable(name)} is not within {folder}")
        if not path.is_file():
            raise UserError(f"{printable(path)}: no such file")
    except (OSError, ValueError, RuntimeError):
        raise UserError(f"{printable(name)}: no such file in {folder}") from None
    return path


def read_json(path: Path) -> Any:
    """Raises UserError naming the file if it is absent or not JSON."""
    try:
        return json.loads(
            read_text(path, LARGEST_JSON_MB), parse_constant=_no_number, parse_int=_whole_number
        )
    except RecursionError:
        raise UserError(f"{path}: is not valid JSON (it is nested too deep)") from None
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error})") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _whole_number(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def file_sha256(path: Path) -> str:
    """Raises UserError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
