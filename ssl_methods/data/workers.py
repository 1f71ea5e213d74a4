"""The same work on many cases, by several processes; one that dies costs its own case alone."""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

from ssl_methods.config import IMPORTERS
from ssl_methods.data.importers.base import RawCase


class Died(NamedTuple):
    """What a case gives whose process ended without an answer."""

    reason: str


class Workers:
    """Up to ``count`` processes, shared by all passes over the cases; started when one is needed.

    A context: they end with it.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def map(
        self,
        work: Callable[[RawCase], Any],
        cases: Sequence[RawCase],
        title: str,
        may_crash: bool = False,
    ) -> Iterator[tuple[RawCase, Any]]:
        """Each case as it is ready, in any order, with ``work(case)``, or with ``Died``.

        With one worker it is done here, unless it ``may_crash``. There is a progress bar on a
        terminal.
        """
        from tqdm import tqdm

        bar = partial(tqdm, total=len(cases), desc=title, unit="case", disable=None)
        if (self.count == 1 or len(cases) == 1) and not may_crash:
            yield from ((case, work(case)) for case in bar(cases))
        else:
            yield from bar(self._shared(work, cases))

    def _shared(
        self, work: Callable[[RawCase], Any], cases: Sequence[RawCase]
    ) -> Iterator[tuple[RawCase, Any]]:
        """No more cases are on their way than there are workers, so that those that they were at
        are known when the pool breaks."""
        waiting = deque(cases)
        while waiting:
            flying: dict[Future[Any], RawCase] = {}
            try:
                while waiting or flying:
                    while waiting and len(flying) < self.count:
                        flying[self._submit(work, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for ready in wait(flying, return_when=FIRST_COMPLETED).done:
                        result = ready.result()
                        yield flying.pop(ready), result
            except BrokenProcessPool:
                self._end()
                for ready, case in flying.items():
                    done = ready.done() and ready.exception() is None
                    yield case, ready.result() if done else _alone(work, case)

    def _submit(self, work: Callable[[RawCase], Any], case: RawCase) -> Future[Any]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.count, get_context("spawn"), initializer=_begin, initargs=(_own_importers(),)
            )
        return self._pool.submit(work, case)

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _own_importers() -> list[Path]:
    return list(IMPORTERS.own.values())


def _begin(own: Sequence[Path]) -> None:
    """A worker's start: what it is sent may be defined in importers of the user's own."""
    _die_with_parent()
    for file in own:
        IMPORTERS.module(IMPORTERS.register(file))


def _alone(work: Callable[[RawCase], Any], case: RawCase) -> Any:
    """Work in a process of its own, whose end tells what happened."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    sent = pickle.dumps((work, case))
    process = context.Process(target=_answer, args=(theirs, _own_importers(), sent))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        result = Died(_reason(process.exitcode or 0))
    process.join()
    return result


def _answer(to: Connection, own: Sequence[Path], sent: bytes) -> None:
    _begin(own)
    work, case = pickle.loads(sent)  # by the process that started this one
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
