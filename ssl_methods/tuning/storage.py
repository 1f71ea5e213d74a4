"""Where the trials of a study are kept, and how a dead worker is told from a living one.

A journal file serves one machine: a worker holds a file lock while it has a trial, and the
operating system frees it when the worker dies, however it dies. A database serves a cluster: there
Optuna's heartbeat tells, after ``GRACE_SECONDS``.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from ssl_methods import locks
from ssl_methods.errors import UserError
from ssl_methods.files import open_in_place, remove_parts
from ssl_methods.shown import masked, printable
from ssl_methods.tuning.study import Study

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 60
JOURNAL = "journal.log"


def open_storage(study: Study, folder: Path) -> BaseStorage:
    """The storage that a study names; ``folder`` holds the journal.

    Raises UserError if the database cannot be reached, or the journal is damaged.
    """
    if study.storage == "journal":
        return _journal(folder / JOURNAL)
    url = study.storage.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS)
    except ImportError as error:
        raise UserError(
            f"storage: {error}; for PostgreSQL: pip install 'psycopg[binary]'"
        ) from None
    except Exception as error:  # of SQLAlchemy, which is imported with the storage alone
        if not type(error).__module__.startswith("sqlalchemy"):
            raise
        raise UserError(f"storage: {masked(str(error).splitlines()[0])}") from None


def _journal(path: Path) -> JournalStorage:
    """The trials of a journal file, which is made if it is absent.

    Raises UserError if it is a link or no regular file, or a line of it is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(path)
    lock.acquire()
    lock.release()
    journal = _Journal(path, lock)
    try:
        return JournalStorage(journal)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever Optuna meets where it expects another thing
        said = printable(f"{type(error).__name__}: {error}")
        raise UserError(
            f"{path}: line {journal.line} is damaged ({said}); put back a copy of the file, keep"
            f" the lines before it (head -n {journal.line - 1}), or remove {path.parent} to begin"
            " anew"
        ) from None


class _Journal(JournalFileBackend):
    """Optuna's journal, read strictly: Optuna passes over a last line that is damaged, and stops at
    it when another follows. What follows the last line feed is not yet, or was never, a line."""

    def __init__(self, path: Path, lock: _JournalLock) -> None:
        super().__init__(str(path), lock)
        self.path = path
        self.starts = [0]  # of each line in the file, in bytes, and of the next
        self.line = 0  # read last, counted from 1

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        with open_in_place(self.path, os.O_RDONLY) as file:
            file.seek(self.starts[log_number_from])
            lines = file.read().split(b"\n")[:-1]
        for self.line, line in enumerate(lines, log_number_from + 1):
            if len(self.starts) == self.line:
                self.starts.append(self.starts[-1] + len(line) + 1)
            record = json.loads(line)
            if not isinstance(record, dict):
                raise TypeError("no record")
            yield record


class _JournalLock(BaseJournalFileLock):
    """Held while the journal is written to; the operating system frees it if the holder dies.

    A line that was not written to its end (the machine stopped, the disk was full) was never
    answered for. It is cut off before another is added, with which it would be one damaged line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[bytes] | None = None

    def acquire(self) -> bool:
        self.file = locks.wait(self.path.with_name(".journal.lock"))
        try:
            with open_in_place(self.path) as journal:
                whole = _end_of_last_line(journal)
                if whole < journal.seek(0, os.SEEK_END):
                    log.warning("%s: its last line is not whole and is cut off", self.path)
                    journal.truncate(whole)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self.file is not None:
            self.file.close()


def _end_of_last_line(file: IO[bytes], step: int = 1 << 16) -> int:
    """Bytes up to and with the last line feed."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - step)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


@contextmanager
def held(storage: BaseStorage, trial_id: int, lock: IO[bytes]) -> Iterator[None]:
    """Show that this worker lives, while the block runs."""
    stop = threading.Event()

    def beat(storage: RDBStorage) -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            storage.record_heartbeat(trial_id)

    thread = None
    if isinstance(storage, RDBStorage):
        thread = threading.Thread(target=beat, args=(storage,), daemon=True)
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread is not None:
            thread.join()
        lock.close()


def lock_of(folder: Path) -> IO[bytes] | None:
    """The lock of a trial's folder, taken; None if a living worker has it.

    What a worker left there that was killed while it wrote is removed.
    """
    lock = locks.take(folder / ".worker.lock")
    if lock is not None:
        for below, _, _ in os.walk(folder):
            remove_parts(Path(below))
    return lock


def give_up_lost(study: optuna.Study, storage: BaseStorage, folder_of: dict[int, Path]) -> None:
    """Fail the running trials whose worker is dead; without a reason, so that they are retried.

    Args:
        folder_of: the folder of each running trial, by its number.
    """
    if isinstance(storage, RDBStorage):
        optuna.storages.fail_stale_trials(study)
        return
    for number, folder in folder_of.items():
        lock = lock_of(folder)
        if lock is None:
            continue
        try:
            if running(study, number):  # its worker may have finished it since
                study.tell(number, state=TrialState.FAIL)
        finally:
            lock.close()


def running(study: optuna.Study, number: int) -> bool:
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False)
    return trials[number].state == TrialState.RUNNING
