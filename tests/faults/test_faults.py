"""Disks, clocks, broken files: the same command, given once more, ends as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.harness import Workflow
from support.processes import PATIENCE, running
from support.rounds import blow
from support.stages import (
    CELL,
    EXPERIMENT,
    ITERATIONS,
    RUNS,
    STEPS,
    Stages,
    copy,
    iterations_resumed,
    made,
)

from ssl_methods.locks import holder
from ssl_methods.weights import load_sealed, save_sealed

END = "evaluate"  # the stage with which the command ends
TARGET = STEPS[END]
Record = Callable[[str, object], None]
DTC = f"tiny/runs/dtc/{CELL}"


def go(workflow: Workflow, status: int = 0, **environment: str) -> str:
    done = workflow.snakemake(TARGET, experiment=EXPERIMENT, **environment)
    assert done.returncode == status, done.stdout
    return done.stdout


def errors(printed: str) -> str:
    return "\n".join(line for line in printed.splitlines() if "error: " in line)


# ---- the disk ------------------------------------------------------------------------------------


@contextmanager
def small_disk(workflow: Workflow, kilobytes: int, files: int = 1_000_000) -> Iterator[None]:
    """The folder of the workflow on a file system of its own, with so much room left, and room for
    so many files and folders."""
    kept = workflow.folder.with_name("kept")
    workflow.folder.rename(kept)
    workflow.folder.mkdir()
    sizes = [path.stat().st_size for path in kept.rglob("*") if path.is_file()]
    used = sum(-(-size // 4096) * 4 for size in sizes)  # a tmpfs counts pages, and no folders
    inodes = sum(1 for _ in kept.rglob("*")) + 1 + files
    options = f"size={used + kilobytes}k,nr_inodes={inodes}"
    made_it = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", workflow.folder],
        capture_output=True,
        check=False,
    )
    if made_it.returncode:
        pytest.skip("a small tmpfs needs root and mount(8)")
    try:
        shutil.copytree(kept, workflow.folder, symlinks=True, dirs_exist_ok=True)
        yield
        copy(workflow.folder, workflow.folder.with_name("after"))
    finally:
        subprocess.run(["umount", workflow.folder], check=True)
    workflow.folder = workflow.folder.with_name("after")


def remount(workflow: Workflow, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", workflow.folder], check=True)


# No room for records of what is begun, for a checkpoint, for the model.
@pytest.mark.parametrize("kilobytes", [8, 60, 124])
def test_a_full_disk(kilobytes: int, stages: Stages, tmp_path: Path, record_property: Record):
    workflow = stages.start("train", tmp_path)
    with small_disk(workflow, kilobytes):
        finished = made(workflow)
        printed = go(workflow, status=1)
        print(errors(printed))
        record_property(*blow("the disk is full", "No space left" in printed))
        remount(workflow, "size=500m")
        go(workflow)
        assert finished.items() <= made(workflow).items()
    stages.check(workflow, END)


# No file more, none for a job, none for a checkpoint.
@pytest.mark.parametrize("files", [0, 6, 12])
def test_a_full_table_of_inodes(
    files: int, stages: Stages, tmp_path: Path, record_property: Record
):
    workflow = stages.start("train", tmp_path)
    with small_disk(workflow, 500_000, files):
        finished = made(workflow)
        printed = go(workflow, status=1)
        print(errors(printed))
        record_property(*blow("no inode is left", "No space left" in printed))
        remount(workflow, "nr_inodes=100000")
        go(workflow)
        assert finished.items() <= made(workflow).items()
    stages.check(workflow, END)


def test_a_read_only_folder(stages: Stages, tmp_path: Path):
    workflow = stages.start("train", tmp_path)
    with small_disk(workflow, 100_000):
        finished = made(workflow)
        remount(workflow, "ro")
        said = errors(go(workflow, status=1))
        assert said == "error: .snakemake/tiny.lock: cannot be written (Read-only file system)"
        remount(workflow, "rw")
        go(workflow)
        assert finished.items() <= made(workflow).items()
    stages.check(workflow, END)


# ---- broken files --------------------------------------------------------------------------------


def interrupted(stages: Stages, tmp_path: Path) -> tuple[Workflow, Path]:
    """A run whose training was finished and then lost all but its last checkpoint."""
    workflow = stages.start("evaluate", tmp_path)
    folder = workflow.folder / RUNS / "dtc" / CELL
    for name in ("run.yaml", "model.pt", "history.csv", "cost.json", "provenance.json"):
        (folder / name).unlink()
    return workflow, folder


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(stages: Stages, tmp_path: Path):
    workflow, folder = interrupted(stages, tmp_path)
    newest = folder / "checkpoint.pt"
    newest.with_stem("checkpoint-previous").write_bytes(newest.read_bytes())
    newest.write_bytes(newest.read_bytes()[:1000])
    go(workflow)
    assert "checkpoint.pt is broken and is passed over" in (folder / "train.log").read_text()
    assert iterations_resumed(workflow, DTC) == ITERATIONS
    stages.check(workflow, END)


def test_checkpoints_that_do_not_fit_are_named_and_passed_over(stages: Stages, tmp_path: Path):
    workflow, folder = interrupted(stages, tmp_path)
    content = load_sealed(folder / "checkpoint.pt")
    save_sealed(folder / "checkpoint.pt", content | {"key": "0" * 16})
    (folder / "checkpoint-previous.pt").write_bytes(b"")
    go(workflow)
    said = (folder / "train.log").read_text()
    assert "checkpoint.pt is of other settings, sources or data and is passed over" in said
    assert "checkpoint-previous.pt is broken and is passed over" in said
    assert iterations_resumed(workflow, DTC) == 0
    stages.check(workflow, END)


@pytest.mark.parametrize("kind", ["flipped", "truncated", "absent"])
def test_a_prepared_array_that_is_broken(kind: str, stages: Stages, tmp_path: Path):
    workflow = stages.start("train", tmp_path)
    finished = {path: it for path, it in made(workflow).items() if "manifest" not in path}
    for path in (workflow.folder / "results/prepared").glob("*/cases/*/image.npy"):
        content = path.read_bytes()
        if kind == "absent":
            path.unlink()
        else:
            path.write_bytes(
                content[:-1] + (bytes([content[-1] ^ 1]) if kind == "flipped" else b"")
            )
    go(workflow)
    said = (workflow.folder / RUNS / "dtc" / CELL / "train.log").read_text()
    assert "image.npy is not what was prepared (checksum differs): preparing the data again" in said
    assert finished.items() <= made(workflow).items(), "a finished run was made again"
    stages.check(workflow, END)


# ---- the clock -----------------------------------------------------------------------------------


def test_files_from_the_future(stages: Stages, tmp_path: Path):
    workflow = stages.start("evaluate", tmp_path)
    tomorrow = time.time() + 86400
    for path in workflow.folder.rglob("*"):
        os.utime(path, (tomorrow, tomorrow), follow_symlinks=False)
    inodes = {path: inode for path, (inode, _) in made(workflow).items()}
    go(workflow)
    now = {path: inode for path, (inode, _) in made(workflow).items()}
    assert inodes.items() <= now.items(), "what was finished was made again"
    stages.check(workflow, END)


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def without_slurm(folder: Path) -> str:
    """The programs of this machine but for scontrol, in one folder.

    Snakemake's SLURM plugin asks it while it is imported, and waits with a time limit; under
    libfaketime such a wait is an error.
    """
    folder.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "scontrol":
            (folder / program.name).symlink_to(program)
    return str(folder)


@pytest.mark.parametrize("seconds", [86400, -86400])
def test_a_clock_that_jumps_while_a_run_trains(seconds: int, stages: Stages, tmp_path: Path):
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed (Debian: faketime)")
    workflow, clock = stages.start("train", tmp_path), tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until a process sees that the clock was set
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as with a real clock
        "PATH": without_slurm(tmp_path / "bin"),
    }
    finished = made(workflow)
    with running(workflow, TARGET, **faked) as snakemake:
        while not (workflow.folder / "results" / DTC / "checkpoint.pt").exists():
            assert snakemake.poll() is None
            time.sleep(0.01)
        clock.write_text(f"{seconds:+d}")
        # The times of files are faked with the clock, but in truth stay what they are.
        for path in workflow.folder.rglob("*"):
            with suppress(FileNotFoundError):
                before = path.lstat().st_mtime - seconds
                os.utime(path, (before, before), follow_symlinks=False)
        snakemake.wait(PATIENCE)
    go(workflow, **faked)
    stages.check(workflow, END)
    inodes = {path: inode for path, (inode, _) in made(workflow).items()}
    assert {path: inodes[path] for path in finished} == {
        path: inode for path, (inode, _) in finished.items()
    }
    cost = json.loads((workflow.folder / "results" / DTC / "cost.json").read_text())
    assert 0 < cost["train_seconds"] <= cost["wall_seconds"] < PATIENCE
    assert "is there already" in go(workflow, **faked)


# ---- another Snakemake ---------------------------------------------------------------------------


def test_a_second_snakemake_on_one_experiment_is_refused(stages: Stages, tmp_path: Path):
    workflow = stages.start("train", tmp_path)
    with running(workflow, TARGET) as first:
        give_up = time.monotonic() + PATIENCE
        lock = workflow.folder / ".snakemake" / "tiny.lock"
        while f"process {first.pid} " not in holder(lock):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)  # so that it is at work however slow this machine is
        for _ in range(2):
            printed = go(workflow, status=1)
            assert f"another Snakemake works on this experiment (process {first.pid}" in printed
            assert "Traceback" not in printed
        assert workflow.planned(EXPERIMENT), "a dry run is let through"
        first.send_signal(signal.SIGCONT)
        assert first.wait(PATIENCE) == 0
    stages.check(workflow, END)
    assert "is there already" in go(workflow)
