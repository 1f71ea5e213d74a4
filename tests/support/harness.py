"""A copy of the project to run Snakemake from, and a tiny experiment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import tiny

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT / ".." / "shared"
PARTS = ["Snakefile", "workflow", "profiles", "configs", "ssl_methods"]

# On whatever device there is, and long enough to be killed in the midst of training.
TINY = tiny.TINY | {
    "dataset": tiny.TINY["dataset"] | {"shape": [24, 24, 16], "train_cases": 4},
    "training": {"patch_size": [16, 16, 16], "iterations": 60, "checkpoint_every": 5},
}


@dataclass
class Workflow:
    """The project's copy, which a test may edit, and the folder in which its workflow runs."""

    project: Path
    folder: Path

    def command(self, *arguments: str, experiment: dict[str, Any] | None = None) -> list[str]:
        """Targets come first: --configfile takes all that follows. A cluster is told no cores."""
        here = [] if "--profile" in arguments else ["--cores", "2"]
        command = [sys.executable, "-m", "snakemake", *arguments, *here]
        command += ["--snakefile", str(self.project / "Snakefile"), "--directory", str(self.folder)]
        if experiment is not None:
            path, text = self.folder / "declared.yaml", yaml.safe_dump(experiment)
            if not path.exists() or path.read_text() != text:  # the folder may be read-only
                path.write_text(text)
            command += ["--configfile", str(path)]
        return command

    def environment(self, **extra: str) -> dict[str, str]:
        """No virtual environment on PATH: jobs must find the Python that runs Snakemake."""
        kept = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
        path = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
        return {**kept, "PATH": path, "PYTHONPATH": str(self.project), **extra}

    def snakemake(
        self, *arguments: str, experiment: dict[str, Any] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, experiment=experiment),
            cwd=self.project,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def planned(self, experiment: dict[str, Any] | None = None, *targets: str) -> dict[str, int]:
        """How many jobs of each rule a dry run lists; none if all is up to date."""
        done = self.snakemake(*targets, "-n", experiment=experiment)
        assert done.returncode == 0, done.stdout
        table = done.stdout.partition("Job stats:")[2].partition("\n\n")[0]
        counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
        assert counts or "Nothing to be done" in done.stdout, done.stdout
        return {rule: n for rule, n in counts.items() if rule not in {"all", "total"}}


def copy_project(folder: Path) -> Path:
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder)
    return folder


def new_workflow(base: Path) -> Workflow:
    """A fresh folder beside which ../shared is what it is beside the project."""
    project = copy_project(base / "project")
    (base / "work").mkdir()
    if SHARED.is_dir():
        (base / "shared").symlink_to(SHARED.resolve())
    return Workflow(project, base / "work")
