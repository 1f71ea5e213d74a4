"""What jobs say while they work, read while they write, and after they died."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_methods.errors import Stopped
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.progress import FILE, SILENCE, Job, Report, read, reported
from ssl_methods.training.train import train


def test_a_job_that_ended_well_is_one_line_of_it(tmp_path: Path):
    with reported(tmp_path, "train") as report:
        report.computes("2 cores", 10)
        report.at(5, {"loss": 0.25})
        (job,) = read(tmp_path)
        assert (job.name, job.device, job.of, job.at) == ("train", "2 cores", 10, 5)
        assert job.rows[0]["loss"] == 0.25 and job.is_at_work(time.time())
        report.at(10, {"loss": 0.125})
    with reported(tmp_path, "evaluate") as report:
        report.computes("2 cores", 3)
    assert len((tmp_path / FILE).read_text().splitlines()) == 2
    trained, measured = read(tmp_path)
    assert (trained.end, trained.of, trained.rows) == ("done", 10, [])
    assert (measured.name, measured.of) == ("evaluate", 3)
    assert 0 < trained.seconds <= measured.seconds < 3600  # of the process that did both


def test_what_ends_a_job_is_said(tmp_path: Path):
    for error, end in ((ValueError("bad\nvalue"), "failed"), (Stopped(15, " here"), "stopped")):
        with pytest.raises(type(error)), reported(tmp_path, "train"):
            raise error
        (job,) = read(tmp_path)
        assert job.end == end and not job.is_at_work(time.time())
    assert job.said == "stopped by SIGTERM here"


def test_a_resumed_curve_goes_on_where_the_checkpoint_was(tmp_path: Path):
    report = Report(tmp_path, "train")
    report.computes("1 core", 40)
    for at in (5, 10, 15):
        report.at(at, {"loss": float(at)})
    with reported(tmp_path, "train") as report:  # killed after 15, its checkpoint is of 7
        report.computes("1 core", 40)
        report.at(10, {"loss": -10.0})
        (job,) = read(tmp_path)
        assert [(row["at"], row["loss"]) for row in job.rows] == [(5, 5), (10, -10)]


def test_what_is_trained_anew_has_no_measurements(tmp_path: Path):
    for name in ("train", "evaluate", "train"):
        with reported(tmp_path, name):
            pass
    assert [job.name for job in read(tmp_path)] == ["train"]


def test_a_killed_job_is_not_taken_to_be_at_work(tmp_path: Path):
    program = (
        "import os, sys; from pathlib import Path; from ssl_methods.progress import Report;"
        "Report(Path(sys.argv[1]), 'train').computes('1 core', 5); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    (job,) = read(tmp_path)
    assert job.of == 5 and not job.end and not job.is_at_work(time.time())


def test_of_another_machine_counts_what_it_said_lately():
    job = Job("train", os.getpid(), f"not-{socket.gethostname()}", began=1000.0)
    assert job.is_at_work(1000 + SILENCE - 1) and not job.is_at_work(1000 + SILENCE + 1)
    job.rows.append({"at": 1.0, "time": 1500.0})
    assert job.is_at_work(1500 + SILENCE - 1)


def test_the_pace_is_that_since_the_job_began():
    job = Job("train", 1, "x", began=100.0, of=100)
    job.rows = [{"at": 10.0, "time": 50.0}, {"at": 20.0, "time": 110.0}]
    assert job.seconds_left() is None
    job.rows.append({"at": 40.0, "time": 150.0})
    assert job.seconds_left() == pytest.approx(60 * 2.0)


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([
    b'{"job": "train", "pid": 1, "host": "x", "began": 1}', b'{"at": 1, "time": 1}', b'{"at": 1}',
    b'{"job": 3}', b'{"end": "done"}', b'{"at": NaN, "time": 2}', b"[1]", b"7", b"null",
    b'{"of": "many", "device": 1}', b'{"job": "train", "pid": 1e400, "host": "x", "began": 1}',
]))))  # fmt: skip
def test_whatever_is_in_the_file_is_read(tmp_path_factory, lines: list[bytes]):
    folder = tmp_path_factory.mktemp("any")
    (folder / FILE).write_bytes(b"\n".join(lines))
    for job in read(folder):
        assert job.at >= 0 or job.rows
        job.is_at_work(0.0)
        job.seconds_left()


def test_a_torn_line_is_passed_over(tmp_path: Path):
    report = Report(tmp_path, "train")
    report.at(1)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"at": 2, "ti')
    assert read(tmp_path)[0].at == 1


def test_a_link_or_full_disk_takes_nothing_from_the_job(tmp_path: Path):
    (tmp_path / "precious").write_text("kept")
    with reported(tmp_path, "train") as report:
        (tmp_path / FILE).unlink()
        (tmp_path / FILE).symlink_to("precious")
        report.at(1)
    assert (tmp_path / "precious").read_text() == "kept"
    (tmp_path / "file").touch()
    with reported(tmp_path / "file" / "below", "train") as report:
        report.at(1)


def test_training_and_evaluation_tell_of_themselves(experiment, prepared_results, tmp_path: Path):
    run = experiment().run("supervised", 2, 0, 0)
    train(run, prepared_results, tmp_path / "run")
    evaluate(tmp_path / "run", prepared_results)
    trained, measured = read(tmp_path / "run")
    assert (trained.of, trained.end) == (run.training.iterations, "done")
    assert (measured.of, measured.end) == (2, "done")
    assert {"model.pt", "cases.csv"} <= {path.name for path in (tmp_path / "run").iterdir()}
    lines = (tmp_path / "run" / FILE).read_text().splitlines()
    assert [json.loads(line)["device"] for line in lines] == ["1 core", "1 core"]
