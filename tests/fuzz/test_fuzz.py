"""Damaged and hostile files: what the project reads of them is right, or it is one line per fault.

Each input is read in a process of its own kind, which may take 2 GB more than it began with and ten
seconds for one. FUZZ inputs (5) of each format are tried, drawn from SEED; what is found is kept in
the test's folder. See ``make fuzz``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from support.formats import FORMATS, Format
from support.mutations import mutated

from ssl_methods.errors import UserError

pytestmark = pytest.mark.fuzz

INPUTS = int(os.environ.get("FUZZ", "5"))
SEED = os.environ.get("SEED", "0")
SECONDS, GIB = 10, 1 << 30
LONGEST_LINE = 2000


@pytest.mark.parametrize("format_", FORMATS, ids=lambda it: it.name)
def test_whatever_a_file_holds_it_is_read_right_or_refused_in_words(
    format_: Format, tmp_path: Path
) -> None:
    path = format_.make(tmp_path)
    good = path.read_bytes()
    found = dict(findings(format_, path, good))
    for number in found:
        (tmp_path / f"found-{number}").write_bytes(input_of(format_, good, number))
    lines = [f"{tmp_path / f'found-{number}'}: {what}" for number, what in found.items()]
    assert not found, "\n" + "\n".join(lines)


def input_of(format_: Format, good: bytes, number: int) -> bytes:
    """Input 0 is the good file."""
    if number == 0:
        return good
    part = mutated(format_.unpack(good), Random(f"{SEED} {format_.name} {number}"))
    return format_.pack(good, part)


# ---- processes -----------------------------------------------------------------------------------


def findings(format_: Format, path: Path, good: bytes) -> Iterator[tuple[int, str]]:
    """The inputs at which something is wrong, with a process for those after one that died."""
    context, start = get_context("fork"), 0
    while start <= INPUTS:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_read_all, args=(theirs, format_, path, good, start))
        process.start()
        theirs.close()
        while start <= INPUTS:
            try:
                if not answers(ours, process):
                    yield start, f"takes more than {SECONDS} seconds"
                    break
                if (what := ours.recv()) is not None:
                    yield start, what
            except EOFError:
                process.join()
                if not (format_.may_crash and (process.exitcode or 0) < 0):
                    yield start, f"ends the process ({process.exitcode})"
                break
            start += 1
        start += 1
        process.kill()
        process.join()


def answers(ours: Connection, process: ForkProcess) -> bool:
    """Whether it does so within SECONDS of its own computing; by the clock twelve times as many."""
    start = psutil.Process(process.pid).cpu_times()
    for _ in range(12 * SECONDS):
        if ours.poll(1):
            return True
        with suppress(psutil.NoSuchProcess):
            now = psutil.Process(process.pid).cpu_times()
            if now.user + now.system - start.user - start.system > SECONDS:
                return False
    return False


def _read_all(to: Connection, format_: Format, path: Path, good: bytes, start: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2 * GIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    said: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ssl_methods")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    path.write_bytes(good)
    right = [digest(read(path)) for read in format_.reads]
    for number in range(start, INPUTS + 1):
        content = input_of(format_, good, number)
        path.write_bytes(content)
        sealed = is_sealed(format_, good, content)
        found = [
            fault(read, path, its if sealed else None, format_.may_ask)
            for read, its in zip(format_.reads, right, strict=True)
        ]
        what = next((it for it in found if it), None)
        strange = [line for line in said if not line.isprintable()]
        said.clear()
        to.send(what or (f"says {strange[0]!r}" if strange else None))


def is_sealed(format_: Format, good: bytes, content: bytes) -> bool:
    if content == good:
        return True
    start = None if format_.sealed_from is None else format_.sealed_from(good)
    return start is not None and content[:start] == good[:start]


# ---- what is right -------------------------------------------------------------------------------


def fault(read: Any, path: Path, right: str | None, may_ask: bool) -> str | None:
    """What is wrong with what a reader makes of a file; ``right``: what it says, if known."""
    try:
        value = digest(read(path))
    except UserError as error:
        if not may_ask and asked_for_too_much(error):
            return f"asks for more memory than there is before it says: {error}"
        lines = str(error).splitlines()
        bad = [line for line in lines or [""] if not is_message(line, path)]
        return f"is refused with {bad[0][:500]!r}" if bad else None
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    return None if right in (None, value) else "is read as something else without a word"


def asked_for_too_much(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def is_message(line: str, path: Path) -> bool:
    """One line that can be shown and that names the file, or its folder."""
    named = path.parent.name in line or line.startswith("... and ")
    return line.isprintable() and len(line) <= LONGEST_LINE and named


def digest(value: Any) -> str:
    """Of arrays, settings and whatever holds them."""
    return hashlib.sha256(repr(plain(value)).encode(errors="surrogatepass")).hexdigest()


def plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, dict):
        return [(name, plain(item)) for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
