"""An undisturbed run of the tiny experiment, stage by stage: where the faults start, and what every
run must end with in spite of them."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from support.harness import TINY, Workflow, new_workflow

TRIALS = 3
FRESH = 1  # seed on which the best setting and the default are trained anew
STUDY = {
    "methods": {"dtc": {"search": ["k", "weight"]}},
    "trials": TRIALS,
    "workers": 1,  # so that it is deterministic
    "validation_cases": 1,
    "fresh_seeds": [FRESH],
    "training": {"iterations": 20},
}
# So many iterations are enough to find something: scores that differ.
TRAINING = TINY["training"] | {"learning_rate": 0.1, "learning_rate_steps": []}
EXPERIMENT = TINY | {"training": TRAINING, "studies": {"s": STUDY}}
ITERATIONS = TINY["training"]["iterations"]

CELL = "labeled-2/subset-0/seed-0"
RUNS = Path("results/tiny/runs")

# The target of each step. In 'train' one run is done already, and has to stay as it is.
STEPS = {
    "prepare": "data",
    "one run": f"{RUNS}/supervised/{CELL}/cases.csv",
    "train": "models",
    "evaluate": "measurements",
    "tune": "tune",
    "report": "all",
}
STAGES = [step for step in STEPS if step != "one run"]  # those that are disturbed


@dataclass
class Stages:
    """Copies of the working folder after each step, and the CPU seconds that each took."""

    base: Path

    def start(self, stage: str, base: Path) -> Workflow:
        """A working folder at the start of a stage."""
        before = ["nothing", *STEPS][list(STEPS).index(stage)]
        copy(self.base / before, base / "work")
        return Workflow(self.base / "project", base / "work")

    def seconds(self, stage: str) -> float:
        return json.loads((self.base / "seconds.json").read_text())[stage]

    def check(self, workflow: Workflow, stage: str) -> None:
        """All that is there after the stage is there, and as if nothing had happened."""
        wanted, found = digests(self.base / stage), digests(workflow.folder)
        for path, digest in wanted.items():
            assert found.get(path) == digest, f"{path} is not that of the undisturbed run"
        if stage == "report":
            assert (workflow.folder / "results/tiny/report.html").stat().st_size > 0
        assert not list((workflow.folder / "results/tiny").rglob("*.part"))


def build(base: Path) -> Stages:
    """Run the experiment undisturbed, once; complete when ``seconds.json`` is there."""
    shutil.rmtree(base, ignore_errors=True)
    workflow = new_workflow(base)
    copy(workflow.folder, base / "nothing")
    seconds = {}
    for step, target in STEPS.items():
        before = cpu_of_children()
        done = workflow.snakemake(target, experiment=EXPERIMENT)
        assert done.returncode == 0, done.stdout
        seconds[step] = cpu_of_children() - before
        copy(workflow.folder, base / step)
    (base / "seconds.json").write_text(json.dumps(seconds))
    return Stages(base)


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
        "tiny/tuning/s/best.yaml",
        "tiny/tuning/s/*.csv",
    )
    results = folder / "results"
    return {
        str(path.relative_to(results)): hashlib.sha256(content(path)).hexdigest()
        for pattern in patterns
        for path in results.glob(pattern)
    }


def content(path: Path) -> bytes:
    """Of a file; of the trials without who ran them, how often and how long."""
    if path.name != "trials.csv":
        return path.read_bytes()
    table = pd.read_csv(path)
    return (
        table[["method", "trial", "state", "validation_dice", "default", "k", "weight"]]
        .to_csv()
        .encode()
    )


# ---- witnesses -----------------------------------------------------------------------------------

RUN_FOLDERS = ("runs/*/*/*/*", "tuning/s/*/*/*/*/*")


def made(workflow: Workflow) -> dict[str, tuple[int, int]]:
    """Inode and time of every prepared manifest and output of a run: made again, it has others."""
    results = workflow.folder / "results"
    paths = [*results.glob("prepared/*/manifest.json")]
    for folders in RUN_FOLDERS:
        paths += results.glob(f"tiny/{folders}/*.*")
    return {
        str(path.relative_to(results)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in paths
        if path.suffix not in {".log", ".tsv", ".jsonl"}  # what a job says is no output
        and not path.name.startswith((".", "checkpoint"))
    }


def finished_trials(there: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Of what was ``made``: the last file of each run of a trial that is trained."""
    return {
        path: it
        for path, it in there.items()
        if "/tuning/" in path and path.endswith("provenance.json")
    }


def iterations_kept(workflow: Workflow) -> dict[str, int]:
    """How far the newest checkpoint of each run is; there must be nobody at work."""
    kept: dict[str, int] = {}
    for folders in RUN_FOLDERS:
        for path in (workflow.folder / "results/tiny").glob(f"{folders}/checkpoint*.pt"):
            run = str(path.parent.relative_to(workflow.folder / "results"))
            iteration = torch.load(path, weights_only=True)["state"]["iteration"]
            kept[run] = max(iteration, kept.get(run, 0))
    return kept


def iterations_resumed(workflow: Workflow, run: str) -> int:
    """Where the training that made the model started."""
    provenance = json.loads((workflow.folder / "results" / run / "provenance.json").read_text())
    return max(provenance["resumed_from"], default=0)
