"""GPU leases with faked devices: no device held twice, none lost when its holder is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ssl_methods import devices
from ssl_methods.errors import UserError

HOLDER = """
import sys, time
from pathlib import Path
from ssl_methods import devices
devices.lease_folder = lambda: Path(sys.argv[1])
with devices.lease(["GPU-a", "GPU-b"]) as gpu:
    print(gpu, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "lease_folder", lambda: tmp_path)
    return tmp_path


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    process.communicate("\n", timeout=30)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("GPU-8f3, MIG-77", ["GPU-8f3", "MIG-77"]),
        ("", []),
        ("-1", []),
    ],
)
def test_an_inherited_mask_is_honoured(monkeypatch, mask, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    assert devices.visible_gpus() == expected


def test_two_jobs_get_different_devices_and_a_third_waits(folder):
    first, second = start(folder), start(folder)
    held = {first.stdout.readline().strip(), second.stdout.readline().strip()}
    assert held == {"GPU-a", "GPU-b"}
    third = start(folder)
    time.sleep(1.5)
    assert third.poll() is None
    finish(first)
    assert third.stdout.readline().strip() in held
    finish(second)
    finish(third)


def test_a_killed_job_frees_its_device(folder):
    holder = start(folder)
    gpu = holder.stdout.readline().strip()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with devices.lease([gpu]) as again:
        assert again == gpu


def test_without_a_gpu_the_cpu_is_used_and_said(monkeypatch, caplog):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    caplog.set_level("INFO")
    with devices.claim("auto") as device:
        assert device.type == "cpu"
    assert "CPU" in caplog.text and "no GPU is visible" in caplog.text


def test_asking_for_an_absent_gpu_is_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="no GPU is visible"), devices.claim("cuda"):
        pass


def test_the_job_sees_its_device_alone(folder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    seen = []
    monkeypatch.setattr(
        devices, "_cuda", lambda gpu: seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    )
    with devices.claim():
        pass
    assert seen == ["GPU-a"]


def test_describe_says_which_are_held(folder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    with devices.lease(["GPU-b"]):
        rows = devices.describe_devices()
    assert rows == [
        {"gpu": "GPU-a", "state": "free"},
        {"gpu": "GPU-b", "state": "held"},
    ]
