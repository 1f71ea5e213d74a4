"""GPUs by their names and leases of faked devices: no slot held twice, none lost when its holder
is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_methods import devices
from ssl_methods.config import load_experiment
from ssl_methods.devices import leases
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
        ("GPU-8f3, MIG-77", ["GPU-8f3", "MIG-77"]),
        ("MIG-GPU-8f3/1/0", ["MIG-GPU-8f3/1/0"]),
        ("1,1", ["1"]),
        ("", []),
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
        (TWO_GPUS, "1,GPU-bb,0", ["GPU-bbbb-2222", "GPU-aaaa-1111"]),
        (TWO_GPUS, "GPU-", ["GPU-"]),  # of which of the two?
        (TWO_GPUS, "7", ["7"]),
        (DIVIDED, None, ["MIG-cccc-3333", "MIG-dddd-4444", "GPU-bbbb-2222"]),
        (DIVIDED, "MIG-d,1", ["MIG-dddd-4444", "GPU-bbbb-2222"]),
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


def test_files_in_the_folder_are_open_to_other_users_and_links_are_refused(folder, tmp_path):
    umask = os.umask(0o077)
    try:
        with leases.lease(["GPU-a"], "first"):
            assert folder.stat().st_mode & 0o7777 == 0o1777
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666}
    finally:
        os.umask(umask)
    (tmp_path / "precious").write_text("kept")
    (folder / "GPU-b.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), leases.lease(["GPU-b"], "second"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_thousands_of_claims_and_kills(tmp_path):
    found = trial(tmp_path, claims=10_000)
    assert found["claims"] >= 10_000 and found["kills"] > 10
    assert found["killed_as_holders"] > 0
    assert (found["violations"], found["failed"], found["free_afterwards"]) == (0, 0, 8)


def test_the_trial_sees_slots_that_are_held_twice(tmp_path):
    assert trial(tmp_path, 200, "unlocked")["violations"] > 0


def trial(tmp_path, claims, *more):
    script = Path(__file__).with_name("lease_trial.py")
    given = [str(tmp_path / "trial"), str(claims), "16", "2", "4", *more]
    done = subprocess.run(
        [sys.executable, script, *given], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


# ---- the device of a job -------------------------------------------------------------------------


def test_without_a_gpu_the_cpu_is_used_and_said(caplog):
    caplog.set_level("INFO")
    with devices.claim("auto") as device:
        assert device.type == "cpu"
    assert "CPU" in caplog.text and "no GPU is visible" in caplog.text


def test_asking_for_an_absent_gpu_is_an_error():
    with pytest.raises(UserError, match="no GPU is visible"), devices.claim("cuda"):
        pass


@pytest.mark.parametrize("mask", ["0,1", "GPU-aaaa-1111,1"])
def test_the_job_sees_its_device_alone_and_by_its_one_name(monkeypatch, tmp_path, mask):
    nvidia_smi(tmp_path, TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    seen = []
    monkeypatch.setattr(
        devices, "_cuda", lambda gpu: seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    )
    with devices.claim():
        assert list(leases.holders("GPU-aaaa-1111")) == [0]
    assert seen == ["GPU-aaaa-1111"]


def test_out_of_memory_outside_a_step_is_one_line(monkeypatch):
    import torch

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    monkeypatch.setattr(devices, "_cuda", lambda gpu: torch.device("cpu"))
    with pytest.raises(UserError, match=r"GPU-a: out of memory; .*window_batch"), devices.claim():
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB.\nmore lines")


def test_doctor_shows_who_holds_what(monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    with leases.lease(["GPU-b"], "train results/x", 2):
        doctor([])
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
