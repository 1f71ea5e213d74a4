"""The same work on many cases, by several processes; one that dies costs its own case alone."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, NamedTuple

from ssl_methods.data.importers.base import RawCase


class Died(NamedTuple):
    """What a case gives whose process ended without an answer."""

    reason: str


def mapped(
    work: Callable[[RawCase], Any],
    cases: Sequence[RawCase],
    workers: int,
    title: str,
    may_crash: bool = False,
) -> Iterator[tuple[RawCase, Any]]:
    """Each case as it is ready, in any order, with ``work(case)``, or with ``Died``.

    With one worker it is done here, unless it ``may_crash``. There is a progress bar on a terminal.
    """
    from tqdm import tqdm

    bar = partial(tqdm, total=len(cases), desc=title, unit="case", disable=None)
    if (workers <= 1 or len(cases) == 1) and not may_crash:
        yield from ((case, work(case)) for case in bar(cases))
    else:
        yield from bar(_shared(work, cases, max(1, min(workers, len(cases)))))


def _shared(
    work: Callable[[RawCase], Any], cases: Sequence[RawCase], workers: int
) -> Iterator[tuple[RawCase, Any]]:
    """A pool has no more cases than workers, so that those it was at are known when it breaks."""
    waiting = deque(cases)
    while waiting:
        flying: dict[Future[Any], RawCase] = {}
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_die_with_parent)
        try:
            while waiting or flying:
                while waiting and len(flying) < workers:
                    case = waiting.popleft()
                    flying[pool.submit(work, case)] = case
                for ready in wait(flying, return_when=FIRST_COMPLETED).done:
                    result = ready.result()
                    yield flying.pop(ready), result
        except BrokenProcessPool:
            for ready, case in flying.items():
                done = ready.done() and ready.exception() is None
                yield case, ready.result() if done else _alone(work, case)
        finally:
            pool.shutdown(cancel_futures=True)


def _alone(work: Callable[[RawCase], Any], case: RawCase) -> Any:
    """In a process of its own, whose end tells what happened."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, case))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        result = Died(_reason(process.exitcode or 0))
    process.join()
    return result


def _answer(to: Connection, work: Callable[[RawCase], Any], case: RawCase) -> None:
    _die_with_parent()
    to.send(work(case))


def _reason(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as happens when memory runs out"
    if status < 0:
        name = signal.Signals(-status).name
        return f"its process crashed ({name}) while reading it; the file is damaged"
    return f"its process ended with status {status}"


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()
