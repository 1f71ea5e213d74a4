"""Workers on a real PostgreSQL, started here on loopback and stopped again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.studies import declare

from ssl_methods.tuning import storage
from ssl_methods.tuning.answers import trial_rows
from ssl_methods.tuning.worker import lay_out, open_study, work

FOUND = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
INITDB = shutil.which("initdb") or (str(FOUND[-1]) if FOUND else None)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database. PostgreSQL refuses to run as root: then it is 'postgres'."""
    if INITDB is None:
        pytest.skip("PostgreSQL is absent (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgresql")
    user: dict = {}
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user 'postgres' for PostgreSQL to run as")
        folder = Path("/tmp", f"ssl-methods-postgresql-{os.getpid()}")
        folder.mkdir()
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **user}
    options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"]
    options += ["-c", f"unix_socket_directories={folder}"]
    subprocess.run(
        [INITDB, "-D", data, "-U", "tuner", "--auth=trust", "--no-sync"], timeout=200, **quiet
    )
    server = subprocess.Popen(
        [str(Path(INITDB).resolve().with_name("postgres")), "-D", data, *options],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
    )  # fmt: skip
    url = f"postgresql://tuner@127.0.0.1:{port}/postgres"
    try:
        give_up = time.monotonic() + 100
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < give_up and server.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # at once; terminated, it would wait for its clients
        server.wait()
        if user:
            shutil.rmtree(folder)


def test_workers_share_a_database_and_take_over_from_the_dead(
    database, known, tmp_path, monkeypatch
):
    # A second without a heartbeat, or the test would wait a minute for the dead worker.
    monkeypatch.setattr(storage, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(storage, "GRACE_SECONDS", 2)
    study = declare(trials=6, workers=2, storage=database, pruner="none")
    lay_out(study, tmp_path)
    dead = open_study(study, tmp_path)["dtc"]
    taken = dead.take(dead.waiting()[0])
    assert taken is not None
    lost = dead.suggest(taken, study)
    taken.lock.close()  # as the operating system does for a process that is killed

    assert work(study, tmp_path) == 6
    found = trial_rows(study, open_study(study, tmp_path)["dtc"])
    assert list(found["state"]) == ["complete"] * 6
    assert list(found["attempts"]) == [2, 1, 1, 1, 1, 1]
    assert found.loc[0, list(lost)].to_dict() == lost == {"k": 1500.0, "weight": 1.0}
    assert work(study, tmp_path) == 0
    assert work(study.model_copy(update={"trials": 7}), tmp_path) == 1


def test_a_database_that_is_not_there_is_named(tmp_path):
    from ssl_methods.errors import UserError

    study = declare(storage="postgresql://tuner@127.0.0.1:1/absent?connect_timeout=2")
    with pytest.raises(UserError, match=r"storage: .*127\.0\.0\.1"):
        open_study(study, tmp_path)
