"""Files are written whole, where they are named and nowhere else, with the mode of the umask."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssl_methods.errors import UserError
from ssl_methods.files import atomic, open_in_place, write_text
from ssl_methods.locks import alone, held, holder, take
from ssl_methods.shown import printable


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o077, 0o002, 0o022, 0o027])
def test_the_umask_is_heeded(mask: int, tmp_path: Path):
    with umask(mask):
        write_text(tmp_path / "new" / "file", "text")
        with take(tmp_path / "also new" / ".lock"):
            pass
    assert mode(tmp_path / "new" / "file") == mode(tmp_path / "also new" / ".lock") == 0o666 & ~mask
    assert mode(tmp_path / "new") == mode(tmp_path / "also new") == 0o777 & ~mask


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "table.csv").symlink_to("precious")
    write_text(tmp_path / "table.csv", "new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert not (tmp_path / "table.csv").is_symlink()
    assert (tmp_path / "table.csv").read_text() == "new"


def test_folders_may_be_links(tmp_path: Path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results").symlink_to("scratch")
    with alone(tmp_path / "results"):
        write_text(tmp_path / "results" / "table.csv", "new")
    assert {path.name for path in (tmp_path / "scratch").iterdir()} == {".lock", "table.csv"}


def test_a_failed_block_leaves_what_was_there(tmp_path: Path):
    write_text(tmp_path / "file", "old")
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "file") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_in_the_way_is_one_line(tmp_path: Path):
    (tmp_path / "file" / "x").mkdir(parents=True)
    with pytest.raises(UserError, match=r"file: cannot be written \(Is a directory\)"):
        write_text(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "plain").touch()
    with pytest.raises(UserError, match=r"plain/below: cannot be written"):
        write_text(tmp_path / "plain" / "below", "text")


# ---- what is kept and changed --------------------------------------------------------------------


def make(kind: str, path: Path) -> None:
    match kind:
        case "link":
            path.with_name("precious").write_text("kept")
            path.symlink_to("precious")
        case "broken link":
            path.symlink_to("nowhere")
        case "link to itself":
            path.symlink_to(path.name)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")


KINDS = ["link", "broken link", "link to itself", "pipe", "folder", "device"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
def test_no_other_file_is_locked_or_signed(kind: str, tmp_path: Path):
    make(kind, tmp_path / ".lock")
    before = sorted(path.name for path in tmp_path.iterdir())
    for attempt in (take, open_in_place, lambda path: held(path).__enter__()):
        with pytest.raises(UserError, match=r"^\S*/\.lock: [^\n]*$"):
            attempt(tmp_path / ".lock")
    assert holder(tmp_path / ".lock") == "another process"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if kind == "link":
        assert (tmp_path / "precious").read_text() == "kept"


def test_what_a_lock_says_is_shown_without_control_characters(tmp_path: Path):
    (tmp_path / ".lock").write_bytes(b"\x1b[2Jprocess\x07 \xff\xfe" + b"x" * 5000)
    shown = holder(tmp_path / ".lock")
    assert shown.isprintable() and shown.startswith("\\x1b[2Jprocess\\x07") and len(shown) < 300
    assert printable("Jörg 医\nx") == "Jörg 医\\nx"


# ---- what killed writers leave -------------------------------------------------------------------

WRITE = """
import sys, time
from pathlib import Path
from ssl_methods.files import atomic
with atomic(Path(sys.argv[1])) as file:
    file.write(b"half"); file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path):
    """Another process that is writing ``file``."""
    command = [sys.executable, "-c", WRITE, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("start", ["write", "alone"])
def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(
    start: str, writer, tmp_path: Path
):
    def begin() -> None:
        if start == "write":
            write_text(tmp_path / "file", "whole")
        with alone(tmp_path):
            pass

    begin()
    assert len(parts(tmp_path)) == 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    begin()
    assert parts(tmp_path) == []


def test_hidden_files_of_others_are_no_leftovers(tmp_path: Path):
    theirs = [
        ".part",
        ".download.part",
        ".file.part",
        ".other.0123abcd.part",
        ".file.AB-CDEFG.part",
    ]
    for name in theirs:
        (tmp_path / name).touch()
    os.symlink("file", tmp_path / ".file.0123abcd.part")
    write_text(tmp_path / "file", "text")
    assert {*theirs, ".file.0123abcd.part", "file"} == {path.name for path in tmp_path.iterdir()}


def test_many_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path):
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(100):
                write_text(tmp_path / "file", str(number) * 1000)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert failed == [] and parts(tmp_path) == []
    assert len({*(tmp_path / "file").read_text()}) == 1
