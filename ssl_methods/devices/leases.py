"""Leases: no more runs on a GPU at a time than each of them allows, whoever started them.

A GPU has slots. A slot is a file in a folder of this machine; who computes holds a lock on it
(flock), which the operating system releases when the holder dies, however it dies. The file says
who that is. Slots are looked at and taken under one more lock, the GPU's, held for an instant.

What other users of the machine put into the folder is data: a file that is no slot with a record is
passed over, and no lock is waited for that is held longer than an instant.

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
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from ssl_methods.errors import UserError
from ssl_methods.shown import printable

log = logging.getLogger(__name__)

# Not TMPDIR, which two shells may have set differently, or to a shared file system.
FOLDER = Path("/tmp/ssl-methods-gpus")
PAUSE = (0.2, 1.0)  # seconds between two looks of one that waits
INSTANT = 20.0  # seconds, by far more than the lock of a GPU is held for, on a busy machine too
MOST_SLOTS = 256  # of a GPU; a slot's number beyond is no slot's


@dataclass(frozen=True)
class Holder:
    """Who is on a GPU, and with how many runs on it at a time it agrees."""

    pid: int
    user: str
    run: str
    since: str
    runs_per_gpu: int

    def __str__(self) -> str:
        text = f"pid {self.pid} of {self.user} ({self.run}) since {self.since}"
        return printable(text, most=300)


@contextmanager
def lease(gpus: Sequence[str], run: str, runs_per_gpu: int = 1) -> Iterator[tuple[str, int]]:
    """Hold a slot of one of ``gpus``, the least used, while the block runs; yields GPU and slot.

    Waits, saying for whom, while every GPU has as many runs as all that are on it allow.
    Raises UserError if there can be no folder for leases.
    """
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
    """Who is on a GPU, by slot. Raises UserError if there can be no folder for leases."""
    folder = _folder()
    with _locked(folder, gpu):
        return _holders(folder, gpu)


def _take_one_of(gpus: Sequence[str], run: str, runs_per_gpu: int) -> tuple[str, int, int] | None:
    for gpu in sorted(gpus, key=lambda gpu: len(holders(gpu))):
        taken = _take(gpu, run, runs_per_gpu)
        if taken is not None:
            return gpu, *taken
    return None


def _take(gpu: str, run: str, runs_per_gpu: int) -> tuple[int, int] | None:
    """A slot and the open file whose lock holds it, or None if the GPU is full."""
    folder = _folder()
    with _locked(folder, gpu):
        there = _holders(folder, gpu)
        if len(there) >= min([runs_per_gpu, *(holder.runs_per_gpu for holder in there.values())]):
            return None
        for slot in range(MOST_SLOTS):
            handle = _open(folder / f"{_name(gpu)}.slot-{slot}")
            if handle is None:
                continue
            if _lock(handle):
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                holder = Holder(os.getpid(), _user(), run[:200], since, runs_per_gpu)
                try:
                    os.write(handle, json.dumps(asdict(holder)).encode() + b"\n")
                except OSError as error:
                    os.close(handle)
                    raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
                return slot, handle
            os.close(handle)
    raise UserError(f"{folder}: no file of GPU {gpu} can be locked; ask who made them, or root")


def _holders(folder: Path, gpu: str) -> dict[int, Holder]:
    """The caller has locked the GPU."""
    found, pattern = {}, re.compile(re.escape(_name(gpu)) + r"\.slot-(0|[1-9][0-9]{0,2})")
    for name in os.listdir(folder):
        slot = pattern.fullmatch(name)
        if slot is None or int(slot[1]) >= MOST_SLOTS:
            continue
        handle = _open(folder / name)
        if handle is None:
            continue
        try:
            if not _lock(handle) and (holder := _read(handle)) is not None:
                found[int(slot[1])] = holder
        finally:
            os.close(handle)
    return dict(sorted(found.items()))


def _read(handle: int) -> Holder | None:
    """The record of a locked slot; None if it is none, as one of ours always is."""
    try:
        # What follows the first line is of earlier, longer records.
        record = json.loads(os.read(handle, 10_000).partition(b"\n")[0])
        holder = Holder(**record)
    except (ValueError, TypeError, RecursionError):
        return None
    numbers, words = (holder.pid, holder.runs_per_gpu), (holder.user, holder.run, holder.since)
    fits = all(type(it) is int and 0 < it < 2**31 for it in numbers)
    return holder if fits and all(isinstance(it, str) for it in words) else None


@contextmanager
def _locked(folder: Path, gpu: str) -> Iterator[None]:
    """Hold the lock of a GPU. If another keeps it, go on without, and say so.

    The worst that comes of it is one run more on the GPU than all on it allow.
    """
    path = folder / f"{_name(gpu)}.lock"
    handle = _open(path)
    give_up = time.monotonic() + INSTANT
    while handle is None or not _lock(handle):
        if handle is None or time.monotonic() > give_up:
            log.warning("%s: is kept locked, or is no file to lock; going on without", path)
            break
        time.sleep(0.001)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Take the lock of an open file; False if another process has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name(gpu: str) -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return re.sub(r"[^A-Za-z0-9-]", "_", f"slurm-{job}-{gpu}" if job else gpu)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may not know its user's name
        return f"user {os.getuid()}"


def _folder() -> Path:
    """Where the leases are: ``FOLDER``, of all users of this machine, or else one's own.

    ``FOLDER`` is taken if root or this user made it. Whoever else made it could take away what lies
    in it, so that it would keep nobody off a GPU.
    """
    reason = _why_not(FOLDER, 0o1777)  # as in /tmp, none can remove another's files
    if reason is None:
        return FOLDER
    own = FOLDER.with_name(f"{FOLDER.name}-{os.geteuid()}")
    if (why := _why_not(own, 0o700)) is not None:
        raise UserError(f"{FOLDER}: {reason}; {own}: {why}; the GPU leases must be in one of them")
    _say_once(f"{FOLDER}: {reason}; jobs of other users are not waited for (leases: {own})")
    return own


@cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


def _why_not(folder: Path, mode: int) -> str | None:
    """Why a folder is not to be trusted with leases, or None; it is made if it is absent."""
    try:
        folder.mkdir(0o700)  # until it is as it shall be, nobody else is to write there
        folder.chmod(mode)  # whatever the umask
    except FileExistsError:
        pass
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder"
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}, not to root or to this user"
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        return f"others may remove what is in it (mode {status.st_mode & 0o7777:o}, not 1777)"
    return None if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"


def _open(path: Path) -> int | None:
    """A file that every user of this machine may lock; None if it is no such file."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        # Without O_EXCL Linux may refuse O_CREAT on a file of another user (protected_regular).
        try:
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(handle, 0o666)  # whatever the umask
        except FileExistsError:
            return _open(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    except OSError:  # a link, a folder, a socket, or closed to this user
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None
