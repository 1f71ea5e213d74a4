"""The day at a GPU: what it asks, in what order, what it does when the time is over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import gpu_day, page
from benchmarks.bars import BARS
from benchmarks.gpu import parts, sweep
from benchmarks.gpu.tests import rows
from benchmarks.gpu_day import Item, day, publish, queue
from ssl_methods.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]


def scripted(monkeypatch, scripts: dict[str, str]) -> list[Item]:
    """Items that run these lines of Python; FILE and MINUTES are what they are given."""

    def command(item: Item, file: Path, minutes: float) -> list[str]:
        head = f"import json, sys, time; FILE = {str(file)!r}; MINUTES = {minutes}\n"
        return [sys.executable, "-c", head + scripts[item.name]]

    monkeypatch.setattr(Item, "command", command)
    sweeps = {name for name in scripts if name.startswith("sweep")}
    return [Item(name, 1.0, "none", goes_on=name in sweeps) for name in scripts]


def states(items: list[Item], folder: Path, minutes: float) -> dict[str, str]:
    return {row["item"]: row["state"] for row in day(items, folder, minutes)}


ANSWER = "open(FILE, 'w').write('[1]')"


def test_each_item_is_asked_once_and_a_failure_stops_no_other(monkeypatch, tmp_path):
    items = scripted(monkeypatch, {"a": ANSWER, "b": "sys.exit(3)", "c": ANSWER})
    assert states(items, tmp_path, 5) == {
        "a": "done", "b": "failed (exit status 3)", "c": "done"
    }  # fmt: skip
    again = states(items, tmp_path, 5)
    assert again == {"a": "done before", "b": "failed (exit status 3)", "c": "done before"}


def test_what_takes_too_long_is_ended_with_its_children(monkeypatch, tmp_path):
    slow = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid); p.wait()"
    items = scripted(monkeypatch, {"slow": "print(1, flush=True)\n" + slow})
    object.__setattr__(items[0], "minutes", 0.03)
    assert states(items, tmp_path, 5) == {"slow": "out of time"}
    assert not subprocess.run(["pgrep", "-f", "sleep 60$"], capture_output=True).stdout


def test_what_the_time_does_not_allow_is_named(monkeypatch, tmp_path):
    items = scripted(monkeypatch, {"a": ANSWER, "b": ANSWER})
    assert set(states(items, tmp_path, 0.01).values()) == {"no time left"}
    assert not list(tmp_path.glob("*.json"))


def test_a_sweep_is_asked_again_until_it_is_complete(monkeypatch, tmp_path):
    half = "json.dump([{'complete': True}, {'complete': False}], open(FILE, 'w'))"
    items = scripted(monkeypatch, {"sweep": half})
    assert states(items, tmp_path, 5) == states(items, tmp_path, 5) == {"sweep": "done"}
    items = scripted(monkeypatch, {"sweep": half.replace("False", "True")})
    assert states(items, tmp_path, 5) == {"sweep": "done"}
    assert states(items, tmp_path, 5) == {"sweep": "done before"}


@pytest.mark.parametrize("status", [0, 1])
def test_mps_is_started_for_a_sweep_and_ended_after_it(monkeypatch, tmp_path, status, capfd):
    said = tmp_path / "said"
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -d ] && echo "start $CUDA_MPS_PIPE_DIRECTORY" >> {said} && '
        f"exit {status}\ncat >> {said}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ZeroDivisionError), sweep.kernels_side_by_side() as variables:
        folder = said.read_text().split()[1]
        assert variables.get("CUDA_MPS_PIPE_DIRECTORY") == (None if status else folder)
        raise ZeroDivisionError
    assert said.read_text() == f"start {folder}\n" + ("" if status else "quit\n")
    assert not Path(folder).exists()


def test_every_item_names_a_module_with_a_main():
    for tiny in (False, True):
        items = queue(tiny)
        assert len({item.name for item in items}) == len(items)
        for item in items:
            path = PROJECT / Path(*item.module.split(".")).with_suffix(".py")
            assert "def main(" in path.read_text(), item
    assert sum(item.minutes for item in queue(False)[:6]) < 25  # the most telling ones fit a day


def test_outcomes_are_read_from_a_junit_file(tmp_path):
    (tmp_path / "report.xml").write_text(
        '<testsuites><testsuite><testcase name="a" time="1.5"/><testcase name="b" time="0">'
        '<skipped message="needs a GPU"/></testcase><testcase name="c" time="2"><failure '
        'message="other bits"/></testcase></testsuite></testsuites>'
    )
    found = [(row["test"], row["outcome"], row["message"]) for row in rows(tmp_path / "report.xml")]
    assert found == [
        ("a", "passed", ""),
        ("b", "skipped", "needs a GPU"),
        ("c", "failure", "other bits"),
    ]


def test_what_is_published_stands_on_the_page_beside_the_rows_of_the_cpu(monkeypatch, tmp_path):
    answers, measured = tmp_path / "day", tmp_path / "measured"
    answers.mkdir()
    row = {"scale": "paper", "method": "dtc", "device": "cuda", "precision": "float32"}
    row |= {"compile": "none", "harness, s": 0.0125, "overhead, %": [1.0, 0.5, 2.0]}
    (answers / "step-all.json").write_text(json.dumps([row]))
    seen = {"cpu": "a CPU", "cores": 2, "gpu": None, "versions": {"torch": "2.13.0"}}
    (answers / "day.json").write_text(json.dumps({"machine": seen, "items": []}))
    with pytest.raises(UserError, match="without a GPU"):
        publish(answers, measured / "gpu")
    seen["gpu"] = "a GPU"
    (answers / "day.json").write_text(json.dumps({"machine": seen, "items": []}))
    assert [path.name for path in publish(answers, measured / "gpu")] == ["step.json"]
    monkeypatch.setattr(page, "MEASURED", measured)
    shown = page.section("step")
    assert "a CPU, 2 cores; a GPU" in shown and "0.0125" in shown and "Not measured" not in shown
    judged = {bar.what: bar.judged(page.measured("step")) for bar in BARS}
    assert judged["the same, GPU"]["met"] == "yes"


def test_the_set_packed_comes_back(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        image = (random.integers(0, 256, (12, 10, 8)) * 0.0313 - 1.25).astype(np.float32)
        label = (random.random((12, 10, 8)) < 0.2).astype(np.uint8)
        (tmp_path / "set" / name).mkdir(parents=True)
        with h5py.File(tmp_path / "set" / name / "mri_norm2.h5", "w") as file:
            file["image"], file["label"] = image, label
    for name in parts.LISTS:
        (tmp_path / "set" / name).write_text("a\n")
    parts.pack(tmp_path / "set", tmp_path / "parts", 2)
    parts.unpack(tmp_path / "parts", tmp_path / "again")
    for name in ("a", "b", "c"):
        with (
            h5py.File(tmp_path / "set" / name / "mri_norm2.h5") as one,
            h5py.File(tmp_path / "again" / name / "mri_norm2.h5") as two,
        ):
            np.testing.assert_allclose(two["image"][:], one["image"][:], atol=2e-6)
            assert (two["label"][:] == one["label"][:]).all()
    assert (tmp_path / "again/test.list").read_text() == "a\n"
    with pytest.raises(UserError, match="8 bits"):
        parts.as_bytes(random.normal(size=(9, 9, 9)).astype(np.float32))


@pytest.mark.system
def test_the_whole_day_is_rehearsed_on_the_cpu(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu_day", "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--minutes", "60"], cwd=PROJECT, capture_output=True, text=True, timeout=3600
    )
    logs = {path.name: path.read_text()[-2000:] for path in tmp_path.glob("*.log")}
    assert done.returncode == 0, (done.stdout, logs)
    found = json.loads((tmp_path / "day.json").read_text())
    assert {row["state"] for row in found["items"]} == {"done"}
    tests = json.loads((tmp_path / "tests.json").read_text())
    assert {row["outcome"] for row in tests} <= {"passed", "skipped"}
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    assert all(row["complete"] and row["seconds per iteration"] > 0 for row in sweep)
    assert gpu_day.queue(True)[-1].name == "sweep"
