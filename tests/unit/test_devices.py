"""GPUs by their names and leases of faked devices: no slot held twice, none lost when its holder
is killed."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st
from support.lease_trial import trial

from ssl_methods.config import load_experiment
from ssl_methods.devices import claim, gpus, leases
from ssl_methods.devices.gpus import visible_gpus
from ssl_methods.doctor import doctor
from ssl_methods.errors import UserError

HOLDER = """
import logging, sys
from pathlib import Path
from ssl_methods.devices import leases
logging.basicConfig(format="%(message)s")
leases.FOLDER = Path(sys.argv[1])
with leases.lease(sys.argv[4:], sys.argv[2], int(sys.argv[3])) as (gpu, slot):
    print(gpu, slot, flush=True)
    sys.stdin.readline()
"""

TWO_GPUS = """GPU 0: NVIDIA H100 (UUID: GPU-aaaa-1111)
GPU 1: NVIDIA H100 (UUID: GPU-bbbb-2222)
"""
MASKS = ["0", "1", "2", "-1", "none", "GPU-8f", "GPU-90", "MIG-1", "MIG-GPU-8f/1/0", ""]
DIVIDED = """GPU 0: NVIDIA H100 (UUID: GPU-aaaa-1111)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc-3333)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd-4444)
GPU 1: NVIDIA H100 (UUID: GPU-bbbb-2222)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Leases of the test's own, no nvidia-smi, no mask and no SLURM."""
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    nvidia_smi(tmp_path, "", status=9)
    return tmp_path / "leases"


def nvidia_smi(tmp_path, listing, status=0):
    """A command of that name which lists these GPUs."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    command = tmp_path / "bin" / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\nexit {status}\n")
    command.chmod(0o755)


def start(folder, *gpus, runs_per_gpu=1, run="a run", **environment):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), run, str(runs_per_gpu), *gpus],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def held(process):
    return process.stdout.readline().strip()


def finish(process):
    return process.communicate("\n", timeout=60)


# ---- which GPUs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("GPU-8f3,GPU-77", ["GPU-8f3", "GPU-77"]),
        ("GPU-8f3,MIG-77", ["GPU-8f3"]),
        ("MIG-GPU-8f3/1/0", ["MIG-GPU-8f3/1/0"]),
        ("1,1", []),
        ("", []),
        ("none", []),
        ("NoDevFiles", []),
        ("0,none,1", ["0"]),
        ("0,,1", ["0"]),
        ("1gpu2, 02ampere", ["1", "2"]),
        ("9" * 5000, ["9" * 5000]),
        ("-1", []),
        ("1,-1,0", ["1"]),
        (None, []),
    ],
)
def test_without_nvidia_smi_a_mask_is_taken_as_it_is(monkeypatch, mask, expected):
    if mask is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    ("listing", "mask", "expected"),
    [
        (TWO_GPUS, None, ["GPU-aaaa-1111", "GPU-bbbb-2222"]),
        (TWO_GPUS, "1", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "GPU-bbbb-2222", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "GPU-bb", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "1,0", ["GPU-bbbb-2222", "GPU-aaaa-1111"]),
        (TWO_GPUS, "1,GPU-aa,0", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "GPU-bb,GPU-aa", ["GPU-bbbb-2222", "GPU-aaaa-1111"]),
        (TWO_GPUS, "GPU-bb,GPU-bbbb", []),  # twice
        (TWO_GPUS, "GPU-", []),  # of which of the two?
        (TWO_GPUS, "GPU-bb,GPU-cc,GPU-aa", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "7", []),
        (TWO_GPUS, "9" * 5000, []),
        (TWO_GPUS, "1,2,0", ["GPU-bbbb-2222"]),
        (TWO_GPUS, "NoDevFiles", []),
        (TWO_GPUS, "gpu-aaaa-1111", []),
        (DIVIDED, "MIG-GPU-aaaa-1111/1/0", ["MIG-GPU-aaaa-1111/1/0"]),
        (DIVIDED, None, ["MIG-cccc-3333", "MIG-dddd-4444", "GPU-bbbb-2222"]),
        (DIVIDED, "MIG-d,MIG-c", ["MIG-dddd-4444", "MIG-cccc-3333"]),
        (DIVIDED, "0", ["MIG-cccc-3333", "MIG-dddd-4444"]),
    ],
)
def test_a_gpu_has_one_name_whatever_the_mask_calls_it(
    monkeypatch, tmp_path, listing, mask, expected
):
    nvidia_smi(tmp_path, listing)
    if mask is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    assert visible_gpus() == expected


@given(st.lists(st.one_of(st.sampled_from(MASKS), st.text("01+, agG", max_size=4)), max_size=5))
def test_a_mask_is_read_as_pytorch_reads_it(entries):
    with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES=",".join(entries)):
        try:
            expected = torch.cuda._parse_visible_devices()
        except ValueError:  # of a sign without a number PyTorch makes nothing
            reject()
        with mock.patch.object(gpus, "nvidia_smi", list):
            assert visible_gpus() == [str(it) for it in expected]


@given(st.lists(st.sampled_from(["GPU-aaaa-1111", "GPU-bbbb-2222", "GPU-a", "GPU-", "GPU-x"])))
def test_uuids_are_resolved_as_pytorch_resolves_them(entries):
    uuids = ["GPU-aaaa-1111", "GPU-bbbb-2222"]
    listed = [gpus.Listed(uuid) for uuid in uuids]
    with (
        mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES=",".join(entries)),
        mock.patch.object(gpus, "nvidia_smi", lambda: listed),
    ):
        named = torch.cuda._parse_visible_devices()
        meant = torch.cuda._transform_uuid_to_ordinals(named, uuids) if entries else []
        assert visible_gpus() == [uuids[it] for it in meant]


# ---- leases --------------------------------------------------------------------------------------


def test_two_jobs_get_different_devices_and_a_third_waits_and_says_for_whom(folder):
    first, second = (start(folder, "GPU-a", "GPU-b", run=name) for name in ("one", "two"))
    on = {held(first), held(second)}
    assert on == {"GPU-a 0", "GPU-b 0"}
    third = start(folder, "GPU-a", "GPU-b")
    said = third.stderr.readline()
    for process, run in ((first, "one"), (second, "two")):
        assert f"pid {process.pid} of " in said and f"({run})" in said
    assert third.poll() is None
    finish(first)
    assert held(third) in on
    finish(second)
    finish(third)


def test_runs_that_agree_share_a_gpu_after_all_gpus_are_used(folder):
    jobs, on = [], []
    for _ in range(4):
        jobs.append(start(folder, "GPU-a", "GPU-b", runs_per_gpu=2))
        on.append(held(jobs[-1]))
    assert set(on[:2]) == {"GPU-a 0", "GPU-b 0"}
    assert set(on) == {f"GPU-{gpu} {slot}" for gpu in "ab" for slot in (0, 1)}
    fifth = start(folder, "GPU-a", "GPU-b", runs_per_gpu=2)
    assert "waiting" in fifth.stderr.readline()
    finish(jobs.pop(2))
    assert held(fifth) == on[2]
    for job in (*jobs, fifth):
        finish(job)


@pytest.mark.parametrize(("there", "comes"), [(1, 4), (4, 1)])
def test_a_run_that_wants_a_gpu_alone_has_it_alone(folder, there, comes):
    with leases.lease(["GPU-a"], "first", there):
        second = start(folder, "GPU-a", runs_per_gpu=comes)
        assert "GPU-a is held by" in second.stderr.readline()
        assert second.poll() is None
    assert held(second) == "GPU-a 0"
    finish(second)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_killed_job_frees_its_device(folder, how):
    holder = start(folder, "GPU-a")
    held(holder)
    assert list(leases.holders("GPU-a")) == [0]
    holder.send_signal(how)
    holder.communicate()
    assert leases.holders("GPU-a") == {}
    with leases.lease(["GPU-a"], "again") as again:
        assert again == ("GPU-a", 0)


def test_a_stopped_job_keeps_its_device(folder):
    holder = start(folder, "GPU-a")
    held(holder)
    holder.send_signal(signal.SIGSTOP)
    assert leases.holders("GPU-a")[0].pid == holder.pid
    holder.send_signal(signal.SIGCONT)
    finish(holder)


def test_jobs_of_one_slurm_allocation_share_it_out_and_other_jobs_are_not_waited_for(folder):
    first, second = (start(folder, "0", "1", SLURM_JOB_ID="7") for _ in range(2))
    assert {held(first), held(second)} == {"0 0", "1 0"}
    other = start(folder, "0", SLURM_JOB_ID="8")  # which SLURM numbers from 0 again
    assert held(other) == "0 0"
    for process in (first, second, other):
        finish(process)


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_files_in_the_folder_are_open_to_other_users(folder, mask):
    umask = os.umask(mask)
    try:
        with leases.lease(["GPU-a"], "first"):
            assert folder.stat().st_mode & 0o7777 == 0o1777
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666}
    finally:
        os.umask(umask)


# ---- the folder is shared with strangers ---------------------------------------------------------


@pytest.fixture
def instantly(monkeypatch):
    monkeypatch.setattr(leases, "INSTANT", 0.2)


def strange(kind, path):
    match kind:
        case "link":
            path.with_name("precious").write_text("kept")
            path.symlink_to("precious")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "text":
            path.write_bytes(b"\x1b[2J no record")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_lock_is_not_waited_for(folder, kind, instantly, caplog):
    leases._folder()
    strange(kind, folder / "GPU-a.lock")
    with leases.lease(["GPU-a"], "mine") as got:
        assert got == ("GPU-a", 0)
    assert "GPU-a.lock: is kept locked, or is no file to lock; going on without" in caplog.text
    if kind == "link":
        assert (folder / "precious").read_text() == "kept"


KEEP = """
import fcntl, sys
kept = [open(path, "r+b") for path in sys.argv[1:]]
for file in kept: fcntl.flock(file, fcntl.LOCK_EX)
print("kept", flush=True)
sys.stdin.readline()
"""


@contextmanager
def kept_locked(*paths):
    """By a process that is none of ours."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEP, *map(str, paths)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "kept\n"
        yield
        process.kill()


@pytest.mark.timeout(30)
def test_a_lock_that_a_stranger_keeps_is_not_waited_for(folder, instantly, caplog):
    leases._folder()
    (folder / "GPU-a.lock").touch()
    with kept_locked(folder / "GPU-a.lock"), leases.lease(["GPU-a"], "mine"):
        assert "going on without" in caplog.text


RECORD = {"pid": 1, "user": "eve", "run": "x", "since": "now", "runs_per_gpu": 1}
NO_RECORDS = [
    b"", b"null", b"[1]", b"{}", b"\0" * 100, b"[" * 9000,
    *(json.dumps(RECORD | it).encode() for it in (
        {"runs_per_gpu": 0}, {"runs_per_gpu": -1}, {"runs_per_gpu": "1"}, {"runs_per_gpu": None},
        {"runs_per_gpu": 1.5}, {"runs_per_gpu": True}, {"pid": "me"}, {"user": ["eve"]},
        {"more": 1}, {"run": "x" * 20_000},
    )),
]  # fmt: skip


@pytest.mark.timeout(30)
def test_a_locked_file_without_a_record_holds_no_gpu(folder):
    leases._folder()
    names = ["slot-x", "slot-", "slot--1", "slot-0.part", "slot-999", "slot-00", "slot-1"]
    slots = [folder / f"GPU-a.slot-{number}" for number in range(2, 2 + len(NO_RECORDS))]
    for path, content in zip(slots, NO_RECORDS, strict=True):
        path.write_bytes(content)
    named = [folder / f"GPU-a.{name}" for name in names]
    for path in named[:-1]:
        path.write_text(json.dumps(RECORD))
    strange("text", named[-1])
    strange("link", folder / "GPU-a.slot-0")
    strange("pipe", folder / "GPU-a.slot-40")
    with kept_locked(*slots, *named):
        assert leases.holders("GPU-a") == {}
        with leases.lease(["GPU-a"], "mine") as (_, slot):
            assert slot == 2 + len(slots)
            assert list(leases.holders("GPU-a")) == [slot]
    assert (folder / "precious").read_text() == "kept"


def test_what_a_record_says_is_shown_without_control_characters(folder):
    leases._folder()
    slot = folder / "GPU-a.slot-0"
    slot.write_text(json.dumps(RECORD | {"run": "\x1b]0;owned\x07" + "x" * 5000}))
    with kept_locked(slot):
        shown = str(leases.holders("GPU-a")[0])
    assert shown.isprintable() and len(shown) < 400 and "pid 1 of eve" in shown


def spoiled(kind, folder, tmp_path):
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
        return "is no folder"
    if kind == "file":
        folder.touch()
        return "is no folder"
    folder.mkdir()
    if kind == "open to all":
        folder.chmod(0o777)
        return r"others may remove what is in it \(mode 777"
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    os.chown(folder, 12345, 12345)
    return "belongs to user 12345"


@pytest.mark.parametrize("kind", ["link", "file", "open to all", "another user's"])
def test_a_folder_that_is_not_to_be_trusted_is_left_for_ones_own(folder, kind, tmp_path, caplog):
    reason = spoiled(kind, folder, tmp_path)
    own = folder.with_name(f"leases-{os.geteuid()}")
    with leases.lease(["GPU-a"], "mine"):
        assert own.stat().st_mode & 0o7777 == 0o700
        assert {path.name for path in own.iterdir()} == {"GPU-a.lock", "GPU-a.slot-0"}
        second = start(folder, "GPU-a")
        said = second.stderr.readline() + second.stderr.readline()
        assert "waiting for a GPU" in said
        second.kill()
        second.communicate()
    assert re.search(f"{folder}: {reason}.*; jobs of other users are not waited for", caplog.text)
    assert not (tmp_path / "elsewhere").exists() or not list((tmp_path / "elsewhere").iterdir())
    own.rename(tmp_path / "away")
    own.symlink_to(tmp_path / "away")
    with pytest.raises(UserError, match=r"leases-\d+: is no folder"), leases.lease(["GPU-a"], "x"):
        pass


def test_a_folder_of_root_with_a_sticky_bit_is_everybodys(folder, caplog):
    folder.mkdir()
    folder.chmod(0o1777)
    assert leases._folder() == folder
    assert caplog.text == ""


def test_hundreds_of_claims_and_kills(tmp_path):
    """Ten thousand: tests/system/test_claims.py."""
    found = trial(tmp_path, 500)
    assert found["claims"] >= 500 and found["kills"] > 0
    assert (found["violations"], found["failed"], found["free_afterwards"]) == (0, 0, 8)


def test_the_trial_sees_slots_that_are_held_twice(tmp_path):
    assert trial(tmp_path, 200, "unlocked")["violations"] > 0


# ---- the device of a job -------------------------------------------------------------------------


def test_without_a_gpu_the_cpu_is_used_and_said(caplog):
    caplog.set_level("INFO")
    with claim.claim("auto") as device:
        assert device.type == "cpu"
    assert "CPU" in caplog.text and "no GPU is visible" in caplog.text


def test_asking_for_an_absent_gpu_is_an_error():
    with pytest.raises(UserError, match="no GPU is visible"), claim.claim("cuda"):
        pass


@pytest.mark.parametrize("mask", ["0,1", "GPU-aaaa-1111,1"])
def test_the_job_sees_its_device_alone_and_by_its_one_name(monkeypatch, tmp_path, mask):
    nvidia_smi(tmp_path, TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    seen = []
    monkeypatch.setattr(claim, "_cuda", lambda gpu: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    with claim.claim():
        assert list(leases.holders("GPU-aaaa-1111")) == [0]
    assert seen == ["GPU-aaaa-1111"]


def test_out_of_memory_outside_a_step_is_one_line(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    monkeypatch.setattr(claim, "_cuda", lambda gpu: torch.device("cpu"))
    with pytest.raises(UserError, match=r"GPU-a: out of memory; .*window_batch"), claim.claim():
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB.\nmore lines")


def test_doctor_shows_who_holds_what(monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    with leases.lease(["GPU-b"], "train results/x", 2):
        doctor([], Path("results"))
    printed = capsys.readouterr().out
    assert "GPU GPU-a: free" in printed
    assert "GPU GPU-b: 1 of 2 slots held" in printed
    assert f"slot 0: pid {os.getpid()} of " in printed and "(train results/x)" in printed


def test_sharing_a_gpu_changes_no_digest(experiment):
    def run(**training):
        declared = experiment().model_dump(mode="json")
        return load_experiment(declared | {"training": declared["training"] | training}).run(
            "dtc", 2, 0, 0
        )

    assert run().training_digest() == run(runs_per_gpu=3).training_digest()
    assert run().training_digest() != run(cpu_threads=3).training_digest()
