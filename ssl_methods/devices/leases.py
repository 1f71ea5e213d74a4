"""Leases: no more runs on a GPU at a time than each of them allows, whoever started them.

A GPU has slots. A slot is a file in a folder of this machine; who computes holds a lock on it
(flock), which the operating system releases when the holder dies, however it dies. The file says
who that is. Slots are looked at and taken under one more lock, the GPU's, held for an instant.

Inside SLURM the scheduler has chosen the GPUs, and may have given one to several jobs: leases are
then among the processes of one SLURM job.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import logging
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from ssl_methods.errors import UserError

log = logging.getLogger(__name__)

# Not TMPDIR, which two shells may have set differently, or to a shared file system.
FOLDER = Path("/tmp/ssl-methods-gpus")
PAUSE = (0.2, 1.0)  # seconds between two looks of one that waits


@dataclass(frozen=True)
class Holder:
    """Who is on a GPU, and with how many runs on it at a time it agrees."""

    pid: int
    user: str
    run: str
    since: str
    runs_per_gpu: int

    def __str__(self) -> str:
        return f"pid {self.pid} of {self.user} ({self.run}) since {self.since}"


@contextmanager
def lease(gpus: Sequence[str], run: str, runs_per_gpu: int = 1) -> Iterator[tuple[str, int]]:
    """Hold a slot of one of ``gpus``, the least used, while the block runs; yields GPU and slot.

    Waits, saying for whom, while every GPU has as many runs as all that are on it allow.
    Raises UserError if the folder of the leases cannot be written.
    """
    _make_folder()
    start, told = time.monotonic(), False
    while (taken := _take_one_of(gpus, run, runs_per_gpu)) is None:
        if not told:
            told = True
            held = [f"{gpu} is held by {who}" for gpu in gpus for who in holders(gpu).values()]
            log.warning(
                "waiting for a GPU (more jobs than --resources gpu=N allows for?): %s",
                "; ".join(held) or "all were held a moment ago",
            )
        time.sleep(random.uniform(*PAUSE))
    if told:
        log.info("waited %.0f s for a GPU", time.monotonic() - start)
    gpu, slot, handle = taken
    try:
        yield gpu, slot
    finally:
        os.close(handle)


def holders(gpu: str) -> dict[int, Holder]:
    """Who is on a GPU, by slot."""
    _make_folder()
    with _locked(gpu):
        return _holders(gpu)


def _take_one_of(gpus: Sequence[str], run: str, runs_per_gpu: int) -> tuple[str, int, int] | None:
    for gpu in sorted(gpus, key=lambda gpu: len(holders(gpu))):
        taken = _take(gpu, run, runs_per_gpu)
        if taken is not None:
            return gpu, *taken
    return None


def _take(gpu: str, run: str, runs_per_gpu: int) -> tuple[int, int] | None:
    """A slot and the open file whose lock holds it, or None if the GPU is full."""
    with _locked(gpu):
        there = _holders(gpu)
        if len(there) >= min([runs_per_gpu, *(holder.runs_per_gpu for holder in there.values())]):
            return None
        slot = next(number for number in count() if number not in there)
        handle = _open(FOLDER / f"{_name(gpu)}.slot-{slot}")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = Holder(os.getpid(), _user(), run, since, runs_per_gpu)
        os.write(handle, json.dumps(asdict(holder)).encode() + b"\n")
        return slot, handle


def _holders(gpu: str) -> dict[int, Holder]:
    """The caller has locked the GPU."""
    found, prefix = {}, f"{_name(gpu)}.slot-"
    for name in os.listdir(FOLDER):
        if not name.startswith(prefix):
            continue
        handle = _open(FOLDER / name)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found[int(name.removeprefix(prefix))] = _read(handle)
        finally:
            os.close(handle)
    return dict(sorted(found.items()))


def _read(handle: int) -> Holder:
    try:
        # What follows the first line is of earlier, longer records.
        return Holder(**json.loads(os.read(handle, 10_000).partition(b"\n")[0]))
    except (ValueError, TypeError):  # killed while it wrote, and not yet gone
        return Holder(0, "?", "not written", "?", runs_per_gpu=1)


@contextmanager
def _locked(gpu: str) -> Iterator[None]:
    handle = _open(FOLDER / f"{_name(gpu)}.lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _name(gpu: str) -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return re.sub(r"[^A-Za-z0-9-]", "_", f"slurm-{job}-{gpu}" if job else gpu)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may not know its user's name
        return f"user {os.getuid()}"


def _make_folder() -> None:
    """For all users of this machine; as in /tmp, none can remove another's files."""
    if not FOLDER.exists():
        FOLDER.mkdir(exist_ok=True)
        FOLDER.chmod(0o1777)
    if not os.access(FOLDER, os.W_OK | os.X_OK):
        raise UserError(f"{FOLDER}: cannot be written; the GPU leases of this machine are there")


def _open(path: Path) -> int:
    """A file that every user of this machine may lock, opened for reading and writing."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:  # Without O_EXCL Linux may refuse O_CREAT on a file of another user (protected_regular).
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(path, flags)
    os.fchmod(handle, 0o666)  # whatever the umask
    return handle
