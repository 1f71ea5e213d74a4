"""A sweep as its files show it: states, times, words, the page, the terminal, and the console."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console as RichConsole
from support.tiny import TINY, tiny_experiment

from ssl_methods.cli import main
from ssl_methods.config import Experiment, Run
from ssl_methods.progress import FILE
from ssl_methods.watching import terminal, words
from ssl_methods.watching.console import AS_TYPED, Console, as_typed
from ssl_methods.watching.page import page
from ssl_methods.watching.sweep import Now, Sweep

DEAD = 2**22 + 1  # above the largest number of a process


@pytest.fixture
def declared() -> Experiment:
    return tiny_experiment(methods=["supervised", "dtc"], budgets=[2, 4], subsets=2)


def told(results: Path, run: Run, *lines: dict[str, Any], pid: int = DEAD, **start: Any) -> Path:
    """What a job has said."""
    folder = results / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    begin = {"job": "train", "pid": pid, "host": socket.gethostname(), "began": time.time() - 100}
    with (folder / FILE).open("a") as file:
        for line in (begin | start, *lines):
            file.write(json.dumps(line) + "\n")
    return folder


def rows(*at: int, every: float = 1.0, **more: float) -> list[dict[str, Any]]:
    """Iterations that were done one after the other, ``every`` seconds for each, until now."""
    now = time.time()
    return [{"at": n, "time": now - (at[-1] - n) * every, "loss": 1 / n} | more for n in at]


def done(results: Path, run: Run, training: float, measuring: float) -> None:
    of = run.training.iterations
    folder = told(results, run, {"of": of, "device": "", "end": "done", "seconds": training})
    told(results, run, {"end": "done", "seconds": measuring}, job="evaluate")
    for name in ("model.pt", "cases.csv"):
        (folder / name).touch()


@pytest.fixture
def sweep(declared: Experiment, tmp_path: Path) -> Sweep:
    """Eight runs: one done, two at work, one failed, one killed, one trained, two to come."""
    runs = list(declared.runs())
    done(tmp_path, runs[0], 40, 8)
    mine = os.getpid()
    start = {"device": "GPU 0 (X)", "of": 100}
    told(tmp_path, runs[1], start, *rows(10, 20, 60, every=2, validation_dice=0.5), pid=mine)
    measured = told(tmp_path, runs[2], {"device": "1 core", "of": 4}, job="evaluate", pid=mine)
    (measured / "model.pt").touch()
    told(tmp_path, runs[3], {"end": "failed", "said": "ValueError: it breaks"})
    killed = told(tmp_path, runs[4], start, *rows(10, 20))
    (killed / "train.log").write_text("something\nits last words\n\n")
    once = {"device": "1 core", "of": 4, "end": "done", "seconds": 20.0}
    (told(tmp_path, runs[5], once) / "model.pt").touch()
    return Sweep(declared, tmp_path)


def test_each_run_has_the_state_that_its_files_say(sweep: Sweep):
    states = [it.state for it in sweep.now().runs]
    expected = ["done", "at work", "at work", "failed", "stopped", "to come", "to come", "to come"]
    assert states == expected
    assert [it.trained for it in sweep.now().runs] == [
        *(True, False, True, False, False, True, False, False)
    ]


def test_looking_leaves_everything_as_it_is(sweep: Sweep):
    def all_there() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in sweep.results.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = all_there()
    now = sweep.now()
    words.headline(now), page(now, True), terminal.table(now)
    assert all_there() == before


def test_what_is_new_in_a_file_is_seen(sweep: Sweep):
    at_work = sweep.now().runs[1]
    told(sweep.results, at_work.run, *rows(61, 80, every=2), pid=os.getpid())
    assert sweep.now().runs[1].job.at == 80


def test_time_left_counts_training_evaluation_and_report(sweep: Sweep):
    """By hand: supervised finished in 40 s and is at 60 of 100 with 2 s each; of its runs none is
    to be trained but the one at work, since one failed. Of dtc a finished one took 20 s, and one
    was killed at 20 of 100, with 1 s each."""
    left = sweep.now(at_a_time=2).left
    assert left.training == pytest.approx(40 * 2 + 80 + 2 * 20, rel=0.01)
    assert left.evaluation == pytest.approx(6 * 8)
    assert left.report is None
    assert left.total == pytest.approx((200 + 48) / 2, rel=0.01)
    said = words.left(left)
    assert said.startswith("about 2 min left (training 3 min, evaluation 48 s; 2 at a time)")
    assert said.endswith("report not measured yet")
    for name, seconds in (("collect", 3.0), ("report", 7.0)):
        line = {"job": name, "pid": 1, "host": "x", "began": 1, "end": "done", "seconds": seconds}
        with (sweep.home / FILE).open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert sweep.now(2).left.report == 10
    assert sweep.now(2).left.total == pytest.approx(134, rel=0.01)


def test_what_is_not_known_is_said(declared: Experiment, tmp_path: Path):
    now = Sweep(declared, tmp_path).now()
    assert now.left.total is None
    assert words.headline(now) == (
        "tiny: 0 of 8 runs done, 8 to come; time left: not known before an iteration is measured"
    )


def test_a_run_that_failed_earlier_is_to_come_again(sweep: Sweep):
    again = Sweep(sweep.experiment, sweep.results, since=time.time())
    assert again.now().runs[3].state == "to come"
    models = Sweep(sweep.experiment, sweep.results, measures=False, reports=False)
    assert (models.now().left.evaluation, models.now().left.report) == (0, 0)


def test_failures_are_told_with_their_reason_and_log(sweep: Sweep):
    now = sweep.now()
    (failed,), (killed,) = now.of("failed"), now.of("stopped")
    log = sweep.results / failed.run.folder / "train.log"
    assert words.failure(failed) == (
        f"supervised, 4 labeled, subset 1, seed 0: train failed: ValueError: it breaks; see {log}"
    )
    assert "train stopped: its last words; see " in words.failure(killed)


def test_a_job_is_told_with_what_is_known_of_it(sweep: Sweep):
    training, measuring = sweep.now().of("at work")
    assert words.job(training.job) == (
        "iteration 60 of 100, loss 0.0167, validation Dice 0.5, GPU 0 (X), 80 s left"
    )
    assert words.job(measuring.job) == "case 0 of 4, 1 core"
    assert "supervised 60/100, loss 0.0167, Dice 0.5" in words.status(sweep.now())


# ---- the terminal --------------------------------------------------------------------------------


def drawn(now: Now) -> str:
    text = io.StringIO()
    RichConsole(file=text, width=140).print(terminal.table(now))
    return text.getvalue()


def test_the_table_counts_runs_per_method_and_budget(sweep: Sweep):
    text = drawn(sweep.now())
    assert re.search(r"runs +2 labeled +4 labeled", text)
    assert re.search(r"supervised +1 of 2 done, 1 at work +0 of 2 done, 1 at work, 1 failed", text)
    assert re.search(r"dtc +0 of 2 done, 1 stopped +0 of 2 done", text)
    assert re.search(r"subset 1, seed 0 +iteration 60 of 100 +0.0167 +0.5 +GPU 0 \(X\) +80 s", text)
    assert "ValueError: it breaks" in text


@pytest.fixture
def file(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "declared.yaml"
    path.write_text(yaml.safe_dump(sweep.experiment.model_dump(mode="json")))
    return path


def test_once_prints_it_as_it_is(file: Path, sweep: Sweep, capsys):
    assert main(["watch", str(file), "--once", "--results", str(sweep.results)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: 1 of 8 runs done, 2 at work, 1 failed, 1 stopped, 3 to come;")
    assert "  supervised, 2 labeled, subset 1, seed 0: iteration 60 of 100" in printed
    assert printed.count("\n") == 5 and not (sweep.home / "live.html").exists()


def test_it_ends_when_nobody_works_any_more(sweep: Sweep, monkeypatch, capsys):
    """It sees that the last job ends; failures are told once."""
    monkeypatch.setattr(terminal, "PAUSE", 0.01)
    looks = 0
    real = Sweep.now

    def now(self: Sweep, at_a_time: int = 0) -> Now:
        nonlocal looks
        looks += 1
        if looks == 3:
            for run in (self.runs[1], self.runs[2]):
                told(self.results, run, {"end": "stopped", "said": "stopped by SIGTERM"})
        return real(self, at_a_time)

    monkeypatch.setattr(Sweep, "now", now)
    terminal.watch(sweep)
    printed = capsys.readouterr().out
    assert printed.count("it breaks") == 1 and looks == 3
    assert printed.splitlines()[-1].startswith("tiny: nothing is at work on it any more;")


def test_a_finished_sweep_ends_at_once(declared: Experiment, tmp_path: Path, capsys):
    for run in declared.runs():
        done(tmp_path, run, 1, 1)
    (tmp_path / "tiny" / "report.html").touch()
    terminal.watch(Sweep(declared, tmp_path), html=True)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        str(tmp_path / "tiny/live.html"),
        "tiny: 8 of 8 runs done; the report is there",
        "tiny: done",
    ]
    assert "http-equiv" not in (tmp_path / "tiny/live.html").read_text()


def test_watching_needs_no_torch():
    program = "import ssl_methods.watching.terminal, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
    program = "import ssl_methods.cli as c, sys; c.parser(); sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


# ---- the page ------------------------------------------------------------------------------------


class Curves(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[tuple[float, float]]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "polyline":
            text = dict(attrs)["points"] or ""
            points = [tuple(map(float, pair.split(","))) for pair in text.split()]
            self.lines.append(points)  # type: ignore[arg-type]


def test_the_page_has_a_curve_of_every_run_that_has_one(sweep: Sweep):
    first = sweep.results / sweep.runs[0].folder / "history.csv"
    lines = [f"{i},{2.0 - i / 1000},{i / 2000 if i % 100 == 0 else ''}" for i in range(1, 1001)]
    first.write_text("\n".join(["iteration,loss,validation_dice", *lines]))
    text = page(sweep.now(), at_work=True)
    found = Curves()
    found.feed(text)
    assert "script" not in found.tags and "http://" not in text and "https://" not in text
    assert 'http-equiv="refresh"' in text and len(text) < 50_000
    assert len(found.lines) == 2 + 3  # Dice of two, loss of the finished, running and killed one
    assert all(len(points) <= 101 for points in found.lines)
    for points in found.lines:
        assert all(0 <= x <= 300 and 0 <= y <= 110 for x, y in points)
    dice = [points for points in found.lines if len(points) == 10]  # 1000 / 100 validations
    assert dice[0][-1] == pytest.approx((300, 110 * (1 - 0.5)))
    assert "ValueError: it breaks" in text


def test_the_page_stays_small(tmp_path: Path):
    declared = tiny_experiment(methods=["supervised", "dtc"], budgets=[2, 3, 4, 5], subsets=25)
    row = {"iteration": 1, "loss": 0.123456, "validation_dice": 0.654321}
    for run in declared.runs():
        folder = told(tmp_path, run)
        (folder / FILE).unlink()
        every = (",".join(map(str, (row | {"iteration": i}).values())) for i in range(1, 601))
        (folder / "history.csv").write_text("\n".join([",".join(row), *every]))
    assert len(page(Sweep(declared, tmp_path).now(), True)) < 1_000_000


def test_names_cannot_write_html(declared: Experiment, tmp_path: Path):
    run = next(iter(declared.runs()))
    told(tmp_path, run, {"end": "failed", "said": "<script>alert(1)</script>"})
    assert "<script" not in page(Sweep(declared, tmp_path).now(), True)


def test_without_validation_cases_the_page_says_why(declared: Experiment, tmp_path: Path):
    assert "No validation curve" in page(Sweep(declared, tmp_path).now(), True)
    validating = tiny_experiment(
        validation_cases=1, training=TINY["training"] | {"validate_every": 2}
    )
    assert "No validation curve" not in page(Sweep(validating, tmp_path).now(), True)


def test_where_there_is_no_validation_curve_it_is_said(console: Console, tmp_path: Path, capsys):
    validating = tiny_experiment(
        validation_cases=1, training=TINY["training"] | {"validate_every": 2}
    )
    for experiment, said in ((tiny_experiment(), 1), (validating, 0)):
        console.start(experiment, tmp_path, [], {"train"}, 1, lambda: None)
        assert capsys.readouterr().err.count("no validation curve (validation_cases is 0)") == said


# ---- Snakemake's console -------------------------------------------------------------------------


def record(event: str | None, level: int = logging.INFO, msg: str = "", **extra: Any) -> Any:
    it = logging.LogRecord("snakemake", level, "", 1, msg, (), None)
    it.__dict__ |= extra | ({} if event is None else {"event": SimpleNamespace(name=event)})
    return it


@pytest.fixture
def console() -> Any:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    made = Console()
    yield made
    made.ended.set()
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_it_takes_snakemakes_place_and_leaves_its_log_file(console: Console):
    logger = logging.Logger("snakemake")
    stream, file = logging.StreamHandler(), logging.NullHandler()
    stream.name = "DefaultStreamHandler"
    logger.addHandler(stream)
    logger.addHandler(file)
    console.takes_over(logger)
    assert logger.handlers == [file, console]


def test_who_wants_silence_has_it(console: Console, sweep: Sweep, capsys):
    console.silent = True
    console.start(sweep.experiment, sweep.results, ["one line"], {"train"}, 2, lambda: None)
    console.handle(record("JOB_INFO", jobid=2, rule_name="collect", rule_msg="Gather", log=[]))
    console.end(ready=True)
    assert capsys.readouterr().err == ""


def test_of_many_lines_few_are_left(console: Console, capsys):
    console.handle(record(None, msg="Building DAG of jobs..."))
    what = {"rule_msg": "Train dtc: 4 labeled", "log": []}
    console.handle(record("JOB_INFO", jobid=1, rule_name="train", **what))
    console.handle(record("JOB_FINISHED", msg="Finished job 1"))
    console.handle(record("JOB_INFO", jobid=0, rule_name="all", rule_msg=None, log=[]))
    assert capsys.readouterr().err == ""
    console.handle(record("JOB_INFO", jobid=2, rule_name="collect", rule_msg="Gather", log=[]))
    console.handle(record(None, logging.WARNING, "the disk is nearly full"))
    console.handle(record("ERROR", logging.ERROR, "MissingOutputException in rule train"))
    assert capsys.readouterr().err.splitlines() == [
        "Gather", "the disk is nearly full", "MissingOutputException in rule train",
    ]  # fmt: skip


def test_a_failure_is_the_last_line_of_its_log(console: Console, tmp_path: Path, capsys):
    log = tmp_path / "train.log"
    log.write_text("computing on the CPU\nerror: loss became nan\n\n")
    what = {"jobid": 7, "rule_name": "train", "log": [str(log)]}
    console.handle(record("JOB_INFO", rule_msg="Train dtc: 4 labeled", **what))
    for text in (
        "RuleException:\nCalledProcessError in file ...: returned non-zero exit status 2.",
        "RuleException:\nCommand 'x' died with <Signals.SIGKILL: 9>.",
        "WorkflowError:\nAt least one job did not complete successfully.",
    ):
        console.handle(record("ERROR", logging.ERROR, text))
    console.handle(record("JOB_ERROR", logging.ERROR, rule_msg=None, **what))
    console.handle(record(None, logging.ERROR, "Exiting because a job execution failed. Look"))
    assert capsys.readouterr().err.splitlines() == [
        "failed: Train dtc: 4 labeled", "  error: loss became nan", f"  see {log}",
    ]  # fmt: skip


def test_it_says_how_it_ended_and_what_goes_on(console: Console, sweep: Sweep, monkeypatch, capsys):
    monkeypatch.setenv(AS_TYPED, "ssl-methods run x.yaml")
    console.start(sweep.experiment, sweep.results, [], {"train"}, 2, lambda: None)
    console.failed = 1
    capsys.readouterr()
    console.end(ready=False)
    assert capsys.readouterr().err.splitlines() == [
        "1 job failed, as said above; 1 of 8 runs are done and kept, 1 more as far as they were.",
        "The same command goes on from there: ssl-methods run x.yaml",
    ]
    monkeypatch.delenv(AS_TYPED)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "2", "--config", "methods=[a, b]"])
    console.end(ready=False)
    assert capsys.readouterr().err.endswith("snakemake --cores 2 --config 'methods=[a, b]'\n")


def test_the_command_that_goes_on_is_the_one_that_was_typed(file: Path, monkeypatch):
    typed = ["ssl-methods", "run", file.name, "--cores", "2", "--config", "methods=[a, b]"]
    monkeypatch.setenv(AS_TYPED, "")
    monkeypatch.setattr(sys, "argv", typed)
    monkeypatch.setattr(os, "execv", lambda *_: None)
    main(typed[1:])
    assert as_typed() == "ssl-methods run declared.yaml --cores 2 --config 'methods=[a, b]'"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_jobs_first(
    console: Console, sweep: Sweep, number: signal.Signals, capsys
):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    ended: list[str] = []
    console.start(sweep.experiment, sweep.results, [], {"train"}, 2, lambda: ended.append("jobs"))
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        time.sleep(10)
        pytest.fail("it was not stopped")
    assert ended == ["jobs"]
    os.kill(os.getpid(), number)  # a second one changes nothing
    console.handle(record("JOB_ERROR", logging.ERROR, jobid=1, rule_name="train", log=[]))
    console.end(ready=False)
    said = capsys.readouterr().err
    assert f"stopped by {number.name}; 1 of 8 runs are done and kept" in said
    assert "failed:" not in said


def test_it_says_how_far_the_forecast_was_off(console: Console, sweep: Sweep, capsys):
    console.start(
        sweep.experiment, sweep.results, [], {"train", "evaluate", "report"}, 2, lambda: None
    )
    assert console.forecast == pytest.approx(148, rel=0.05)  # the failed run is to come again
    console.began -= 306
    for name, seconds in (("collect", 3.0), ("report", 7.0)):
        line = {"job": name, "pid": 1, "host": "x", "began": 1, "end": "done", "seconds": seconds}
        with (sweep.home / FILE).open("a") as file:
            file.write(json.dumps(line) + "\n")
    console.end(ready=True)
    assert re.search(
        r"took 5 min, 10 s of it for tables and report; the rest is (99|100|101)% more than the"
        r" 2 min that were forecast at the start$",
        capsys.readouterr().err,
    )


def test_what_are_no_runs_is_counted(console: Console, sweep: Sweep, capsys):
    console.start(sweep.experiment, sweep.results, [], {"tuning_work"}, 2, lambda: None)
    for number in range(1, 11):
        console.handle(record("PROGRESS", done=number, total=10))
    console.end(ready=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["2 of 10 jobs done", "4 of 10 jobs done"]
    assert len(lines) == 6 and lines[-1] == "took 0 s"
