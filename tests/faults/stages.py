"""An undisturbed run of the tiny experiment, stage by stage: where the faults start, and what every
run must end with in spite of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch
from harness import TINY, Workflow, new_workflow

RUNS = Path("results/tiny/runs")
CELL = "labeled-2/subset-0/seed-0"
METHODS = ("supervised", "dtc")
ITERATIONS = TINY["training"]["iterations"]

# How the undisturbed run goes on, target by target; the stages among these steps are disturbed. In
# 'train' one run is done already, and has to stay as it is. One more stage (tune) is one more line.
STEPS = [
    ("prepare", "data"),
    ("", f"{RUNS}/supervised/{CELL}/cases.csv"),
    ("train", f"{RUNS}/dtc/{CELL}/model.pt"),
    ("evaluate", "measurements"),
    ("report", "all"),
]
# The target of the command that is disturbed in a stage.
TARGETS = {
    "prepare": "data",
    "train": "measurements",
    "evaluate": "measurements",
    "report": "all",
}


@dataclass
class Stages:
    """Copies of the working folder at the start of each stage, and what is true at the end."""

    base: Path
    workflow: Workflow
    seconds: dict[str, float] = field(default_factory=dict)

    def start(self, stage: str, base: Path) -> Workflow:
        """A working folder at the start of a stage."""
        folder = base / "work"
        copy(self.base / stage, folder)
        return Workflow(self.workflow.project, folder)

    def check(self, workflow: Workflow, target: str) -> None:
        """All that the target makes is there, and as if nothing had happened."""
        parts = {
            "data": ("prepared/",),
            "measurements": ("prepared/", "tiny/runs/", "tiny/splits/"),
        }
        wanted, found = digests(self.workflow.folder), digests(workflow.folder)
        for path, digest in wanted.items():
            if path.startswith(parts.get(target, "")):
                assert found.get(path) == digest, f"{path} is not that of the undisturbed run"
        if target == "all":
            assert (workflow.folder / "results/tiny/report.html").stat().st_size > 0
        assert not list((workflow.folder / "results/tiny").rglob("*.part"))


def build(base: Path) -> Stages:
    """Run the experiment undisturbed, once."""
    workflow = new_workflow(base / "undisturbed")
    stages = Stages(base, workflow)
    for stage, target in STEPS:
        if stage:
            copy(workflow.folder, base / stage)
        started = time.monotonic()
        done = workflow.snakemake(target, experiment=TINY)
        assert done.returncode == 0, done.stdout
        stages.seconds[stage] = time.monotonic() - started
    return stages


def copy(source: Path, target: Path) -> None:
    """With the times of its files, by which Snakemake decides what is to be done."""
    shutil.copytree(source, target, symlinks=True)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that is the same whenever it is made."""
    patterns = (
        "prepared/*/manifest.json",
        "prepared/*/cases/*/*.npy",
        "tiny/runs/**/model.pt",
        "tiny/runs/**/cases.csv",
        "tiny/splits/*.json",
        "tiny/tables/c*s.csv",
    )
    results = folder / "results"
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in results.glob(pattern)
    }


# ---- processes -----------------------------------------------------------------------------------


@contextmanager
def running(workflow: Workflow, target: str) -> Iterator[subprocess.Popen]:
    """Snakemake as the leader of a session of its own, as if started in a terminal."""
    with (workflow.folder / "printed.txt").open("a") as printed:
        process = subprocess.Popen(
            workflow.command(target, experiment=TINY),
            cwd=workflow.project,
            env=workflow.environment(),
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that starts jobs in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Kill whatever a test has left running in this session."""
    while alive := members(process.pid):
        for each in alive:
            each.kill()
        process.poll()
        time.sleep(0.05)


def members(session: int) -> list[psutil.Process]:
    """The processes of a session that are alive, orphans too."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def workers(session: int) -> list[psutil.Process]:
    """The jobs: `python -m ssl_methods VERB`, without the shell that starts each."""
    found = []
    for process in members(session):
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if command[1:3] == ["-m", "ssl_methods"]:
            found.append(process)
    return found


# ---- witnesses -----------------------------------------------------------------------------------


def made(workflow: Workflow) -> dict[str, tuple[int, int]]:
    """Inode and time of every prepared manifest and output of a run: made again, it has others."""
    results = workflow.folder / "results"
    paths = [*results.glob("prepared/*/manifest.json"), *results.glob("tiny/runs/*/*/*/*/*.*")]
    return {
        str(path.relative_to(results)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in paths
        if path.suffix not in {".log", ".tsv"} and not path.name.startswith((".", "checkpoint"))
    }


def iterations_kept(workflow: Workflow, method: str) -> int:
    """How far a run has come that nobody works on: as its newest checkpoint, or to the end."""
    folder = workflow.folder / RUNS / method / CELL
    if (folder / "provenance.json").is_file():
        return ITERATIONS
    saved = [
        torch.load(path, weights_only=True)["state"]["iteration"]
        for path in folder.glob("checkpoint*.pt")
    ]
    return max(saved, default=0)


def iterations_resumed(workflow: Workflow, method: str) -> int:
    """Where the training that made the model started."""
    provenance = json.loads(
        (workflow.folder / RUNS / method / CELL / "provenance.json").read_text()
    )
    return max(provenance["resumed_from"], default=0)
