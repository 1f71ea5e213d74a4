"""Where the trials of a study are kept, and how a dead worker is told from a living one.

A journal file serves one machine: a worker holds a file lock while it has a trial, and the
operating system frees it when the worker dies, however it dies. A database serves a cluster: there
Optuna's heartbeat tells, after ``GRACE_SECONDS``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from ssl_methods.errors import UserError
from ssl_methods.tuning.study import Study

HEARTBEAT_SECONDS, GRACE_SECONDS = 10, 60
JOURNAL = "journal.log"


def open_storage(study: Study, folder: Path) -> BaseStorage:
    """The storage that a study names; ``folder`` holds the journal.

    Raises UserError if the database cannot be reached.
    """
    if study.storage == "journal":
        return JournalStorage(_journal(folder / JOURNAL))
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
        raise UserError(f"storage: {str(error).splitlines()[0]}") from None


def _journal(path: Path) -> JournalFileBackend:
    """Optuna's journal, its path absolute: a dead holder of its lock is found on that alone.

    A last line that was torn (the machine stopped while it was written) would make the file
    unreadable with the next line; it is cut off.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(path))
    if path.exists():
        lock.acquire()
        try:
            content = path.read_bytes()
            if not content.endswith(b"\n"):
                with path.open("r+b") as file:
                    file.truncate(content.rfind(b"\n") + 1)
        finally:
            lock.release()
    return JournalFileBackend(str(path), lock_obj=lock)


@contextmanager
def held(storage: BaseStorage, trial_id: int, lock: FileLock) -> Iterator[None]:
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
        lock.release()


def lock_of(folder: Path) -> FileLock | None:
    """The lock of a trial's folder, taken; None if a living worker has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".worker.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
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
            lock.release()


def running(study: optuna.Study, number: int) -> bool:
    trials: list[FrozenTrial] = study.get_trials(deepcopy=False)
    return trials[number].state == TrialState.RUNNING
