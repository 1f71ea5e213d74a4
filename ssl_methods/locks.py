"""Locks that the operating system releases when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ssl_methods.errors import UserError
from ssl_methods.files import open_in_place, remove_parts
from ssl_methods.shown import printable

log = logging.getLogger(__name__)


def take(path: Path) -> IO[bytes] | None:
    """The locked file, or None if another process holds it; closed or dead, the holder lets go.

    Processes that the holder starts do not inherit the lock. Raises UserError if the file cannot be
    written, or is a link or no regular file.
    """
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    _sign(file)
    return file


def wait(path: Path) -> IO[bytes]:
    """The locked file, after whoever holds it has let go. Raises UserError as ``take`` does."""
    file = _open(path)
    fcntl.flock(file, fcntl.LOCK_EX)
    _sign(file)
    return file


def holder(path: Path) -> str:
    """Who wrote its name into the lock file last, for messages: 'process 123 on host'."""
    try:
        with open_in_place(path, os.O_RDONLY) as file:
            said = file.read(1000).decode(errors="replace").strip()
    except (OSError, UserError):
        said = ""
    return printable(said) or "another process"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file while the block runs; waits, saying for whom, while another holds it."""
    file = take(path)
    if file is None:
        log.warning("%s: waiting for %s", path.parent, holder(path))
        file = wait(path)
    with file:
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the write lock of ``folder``, waiting for its holder if need be.

    The holder may be a job whose Snakemake was killed: it goes on by itself. Half-written files of
    dead processes (``.<name>.<random>.part``) are removed.
    """
    with held(folder / ".lock"):
        remove_parts(folder)
        yield


def _open(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return open_in_place(path)


def _sign(file: IO[bytes]) -> None:
    with suppress(OSError):  # a full disk: the lock holds all the same
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
