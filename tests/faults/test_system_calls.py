"""What the kernel refuses for a moment, and what a power loss takes: one plain rerun mends it.

Both need strace. How many rounds: support/rounds.py.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.harness import Workflow
from support.processes import PATIENCE, cpu_seconds, gone
from support.rounds import CALLS_REFUSED, POWER_LOST, SEED, blow
from support.stages import CELL, EXPERIMENT, RUNS, STAGES, STEPS, Stages, finished_trials, made

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed (Debian: strace)"
)
STRACE = ["strace", "-f", "-qq", "--seccomp-bpf"]

# By hand what the rules of a stage do first; the rerun is Snakemake's.
EVALUATED = f"{RUNS}/dtc/{CELL}"
JOBS = {
    "prepare": ["prepare", "declared.yaml"],
    "train": [
        "train",
        "declared.yaml",
        *["--method", "dtc", "--budget", "2", "--subset", "0", "--seed", "0"],
    ],
    "evaluate": ["evaluate", EVALUATED],
    "tune": ["tune", "declared.yaml"],
    "report": ["collect", "declared.yaml"],
}
CALLS = {"fsync": 8, "rename": 8, "flock": 8, "mkdir": 4, "ftruncate": 4, "unlink": 6}
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS")

Refusal = tuple[str, str, str, int]


def refusals(rounds: int, seed: int) -> list[Refusal]:
    """Stage, system call, error, and which call of its kind gets it."""
    draw = random.Random(seed)
    kinds = list(CALLS)
    return [
        (STAGES[n % len(STAGES)], call := draw.choice(kinds), draw.choice(ERRORS),
         draw.randint(1, CALLS[call]))
        for n in range(rounds)
    ]  # fmt: skip


@pytest.mark.parametrize("it", refusals(CALLS_REFUSED, SEED), ids=lambda it: "-".join(map(str, it)))
def test_a_system_call_that_fails_once(
    it: Refusal, stages: Stages, tmp_path: Path, record_property: Callable[[str, object], None]
):
    stage, call, error, number = it
    workflow = stages.start(stage, tmp_path)
    workflow.command(experiment=EXPERIMENT)  # writes declared.yaml
    finished, trace = made(workflow), tmp_path / "trace"
    inject = [
        "-o",
        trace,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={number}",
    ]
    done = subprocess.run(
        [*STRACE, *inject, sys.executable, "-m", "ssl_methods", *JOBS[stage]],
        cwd=workflow.folder, env=workflow.environment(), timeout=PATIENCE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    hit = "INJECTED" in trace.read_text(errors="replace")
    record_property(*blow("a system call fails", hit))
    said = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    record_property(
        "refused", f"{'-'.join(map(str, it))}: {'hit' if hit else 'not reached'}, {said}"
    )
    assert "Traceback" not in done.stdout, done.stdout
    assert (done.returncode, bool(said)) in ((0, False), (2, True)), done.stdout
    assert hit or done.returncode == 0, done.stdout
    again = workflow.snakemake(STEPS[stage], experiment=EXPERIMENT)
    assert again.returncode == 0, again.stdout
    stages.check(workflow, stage)
    if stage not in ("train", "evaluate"):  # by hand the verb makes its run again
        assert finished.items() <= made(workflow).items(), "what was finished was made again"


# ---- power loss ----------------------------------------------------------------------------------

LOSSES = [
    (number, STAGES[number % len(STAGES)], random.Random(f"{SEED} {number}").uniform(0.2, 0.95))
    for number in range(POWER_LOST)
]


@pytest.mark.parametrize(("number", "stage", "moment"), LOSSES)
def test_the_power_is_lost(
    number: int,
    stage: str,
    moment: float,
    stages: Stages,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    """Everything dies at once, and of what was written only what was synced is on the disk."""
    workflow = stages.start(stage, tmp_path)
    before, trace = files_of(workflow), tmp_path / "trace"
    # A file for each process, or the lines of several would be mixed.
    command = [*STRACE, "-ff", "-y", "-o", str(trace), "-e", "trace=fsync"]
    command += workflow.command(STEPS[stage], experiment=EXPERIMENT)
    with (tmp_path / "printed").open("wb") as printed:
        session = subprocess.Popen(
            command, cwd=workflow.project, env=workflow.environment(),
            stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while session.poll() is None and cpu_seconds(session.pid) < moment * stages.seconds(stage):
            time.sleep(0.05)
        record_property(*blow("the power is lost", session.poll() is None))
        with suppress(ProcessLookupError):
            os.killpg(session.pid, signal.SIGKILL)
        session.wait(PATIENCE)
    assert gone(session.pid), "a process is left over"
    left = made(workflow)
    draw = random.Random(number)
    cut = lost(workflow, before, synced(trace))
    for path in cut:
        os.truncate(path, draw.randint(0, path.stat().st_size))
    record_property("lost", f"{stage} at {moment:.0%}: {sorted(path.name for path in cut)}")
    again = workflow.snakemake(STEPS[stage], experiment=EXPERIMENT)
    assert again.returncode == 0, again.stdout
    stages.check(workflow, stage)
    assert finished_trials(left).items() <= made(workflow).items(), "a trial was made again"


def files_of(workflow: Workflow) -> dict[Path, tuple[int, int, int]]:
    """Every file of the results with what changes when it is written."""
    found = {}
    for path in (workflow.folder / "results").rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def synced(trace: Path) -> set[str]:
    """Names that files had when they were synced; those of ``atomic`` without their random part.

    The checkpoint before the newest was synced as the newest.
    """
    traces = trace.parent.glob(f"{trace.name}.*")
    said = "\n".join(path.read_text(errors="replace") for path in traces)
    found = re.findall(r"fsync\(\d+<([^>]+)>\)\s+= 0", said)
    names = {re.sub(r"/\.([^/]+)\.[a-z0-9_]{8}\.part$", r"/\1", name) for name in found}
    return names | {name.replace("/checkpoint.pt", "/checkpoint-previous.pt") for name in names}


def lost(
    workflow: Workflow, before: dict[Path, tuple[int, int, int]], kept: set[str]
) -> list[Path]:
    """What was written and not synced. All that results rest on is; the rest are logs and locks."""
    found = [
        path
        for path, status in files_of(workflow).items()
        if before.get(path) != status and str(path) not in kept
    ]
    for path in found:
        passing = {".log", ".tsv", ".jsonl", ".lock", ".done", ".part"}
        assert path.suffix in passing or path.name == ".lock", path
    return found
