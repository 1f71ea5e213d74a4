"""Signals to a real process: what it leaves, how it exits, and that a resume loses nothing."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import yaml
from support.tiny import tiny_experiment

from ssl_methods.config import load_experiment
from ssl_methods.errors import Stopped
from ssl_methods.training.interruption import Interruption
from ssl_methods.training.train import train

SLOW_EVALUATION = """
import sys, time
from ssl_methods.evaluation import evaluate
from ssl_methods.files import atomic

def slow(*_):
    with atomic(evaluate.Path("results/half-written")) as file:
        file.write(b"half")
        print("computing", file=sys.stderr, flush=True)
        time.sleep(600)

evaluate.evaluate_cases = slow
from ssl_methods.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with an experiment whose run takes some seconds, and that run undisturbed."""
    folder = tmp_path_factory.mktemp("project")
    declared = tiny_experiment(methods=["dtc"]).model_dump(mode="json")
    declared["training"] |= {"iterations": 60, "log_every": 5, "checkpoint_every": 1000}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(declared))
    train_here(folder, "whole")
    return folder


def train_here(folder, out):
    run = load_experiment(folder / "tiny.yaml").run("dtc", 2, 0, 0)
    train(run, folder / "results", folder / out)


def command(verb, *given):
    return [sys.executable, "-m", "ssl_methods", verb, *given]


def interrupted(command, folder, number, once):
    """Send the signal as soon as this is said; returns exit status and all that was said."""
    said = []
    with subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal: what runs in the background, as CI may, inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for line in process.stderr:
            said.append(line)
            if once in line:
                process.send_signal(number)
                once = "said once"
    return process.returncode, said


@pytest.mark.system
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_training_writes_a_checkpoint_and_goes_on_from_there(project, number, status):
    out = f"run-{status}"
    cell = ("tiny.yaml", "--method", "dtc", "--budget", "2", "--out", out)
    code, said = interrupted(command("train", *cell), project, number, "iteration 5 of")
    assert code == status, said
    assert said[-1].startswith(f"stopped by {signal.Signals(number).name} after iteration ")
    stopped_at = int(said[-1].split("after iteration ")[1].split(";")[0])
    assert 5 <= stopped_at < 60
    assert not any("Traceback" in line for line in said)
    assert {path.name for path in (project / out).iterdir()} - {"tensorboard"} == {
        ".lock",
        "checkpoint.pt",
        "progress.jsonl",
    }
    train_here(project, out)
    assert json.loads((project / out / "provenance.json").read_text())["resumed_from"] == [
        stopped_at
    ]
    for name in ("model.pt", "history.csv"):
        assert (project / out / name).read_bytes() == (project / "whole" / name).read_bytes()


@pytest.mark.system
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_evaluation_ends_at_once_and_leaves_no_temporary_file(project, number, status):
    evaluate = ["evaluate", "whole/run.yaml", "--out", "measured"]
    evaluation = [sys.executable, "-c", SLOW_EVALUATION, *evaluate]
    before = sorted(path for path in (project / "results").rglob("*"))
    code, said = interrupted(evaluation, project, number, "computing\n")
    assert code == status, said
    assert said[-1] == {143: "stopped by SIGTERM\n", 130: "interrupted\n"}[status]
    assert sorted(path for path in (project / "results").rglob("*")) == before


def test_a_signal_is_noted_and_a_second_interrupt_obeyed():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        assert interruption.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.received == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.received == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)  # as Snakemake does when it had the Ctrl-C too
        assert interruption.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_nothing_is_noted():
    seen = []

    def enter():
        with Interruption() as interruption:
            seen.append(interruption.received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [None]


def test_the_status_is_the_conventional_one():
    assert Stopped(signal.SIGTERM).status == 143
    assert str(Stopped(signal.SIGINT, " after iteration 3")) == (
        "stopped by SIGINT after iteration 3"
    )
