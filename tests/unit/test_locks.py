"""A lock has one holder, and none once that one is dead."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_methods.errors import UserError
from ssl_methods.locks import alone, holder, take

HOLD = """
import sys, time
from pathlib import Path
from ssl_methods.locks import take
kept = take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the lock of the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_at_a_time_and_its_holder_is_named(other, tmp_path: Path):
    assert take(tmp_path / ".lock") is None
    assert f"process {other.pid} on " in holder(tmp_path / ".lock")


def test_a_killed_holder_lets_go(other, tmp_path: Path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with take(tmp_path / ".lock"):
        assert take(tmp_path / ".lock") is None


def test_started_processes_do_not_inherit_it(tmp_path: Path):
    with take(tmp_path / ".lock"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with take(tmp_path / ".lock") as mine:
            assert mine is not None
    finally:
        child.kill()
        child.wait()


def test_alone_waits_until_the_other_is_gone_and_says_so(other, tmp_path: Path, caplog):
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {other.pid}"])
    with alone(tmp_path):
        other.wait(timeout=10)
        assert other.returncode == -signal.SIGKILL
    killer.wait()
    assert f"waiting for process {other.pid}" in caplog.text


def test_what_a_killed_writer_left_is_removed(tmp_path: Path):
    for name in (".model.pt.x3f_ab.part", "model.pt", "other.part"):
        (tmp_path / name).touch()
    with alone(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "model.pt", "other.part"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/\.lock: cannot be written"):
        take(tmp_path / "file" / ".lock")
