"""A wheel, installed away from the repository, holds all that the project needs to run."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
# Seconds instead of minutes.
SHORT = [
    "--config",
    "methods=[supervised]",
    "budgets=[2]",
    "subsets=1",
    "training={iterations: 4, patch_size: [16, 16, 16], checkpoint_every: 4}",
    "dataset={name: tiny, importer: phantom, shape: [24, 24, 16], train_cases: 4, test_cases: 2}",
    "network={width: 2, levels: 2}",
]


@dataclass
class Installed:
    """A virtual environment with the wheel, and a folder away from the project."""

    bin: Path
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
        return subprocess.run(
            [self.bin / "ssl-methods", *words],
            cwd=self.folder,
            env=kept | {"PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files that git knows, with no network."""
    source, built = (tmp_path_factory.mktemp(name) for name in ("source", "built"))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file() and not name.startswith(("results/", "tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
         "--no-build-isolation", "--wheel-dir", built, source],
        check=True,
    )  # fmt: skip
    (path,) = built.glob("ssl_methods-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Beside the packages of this environment, but without the project as it is installed here."""
    base = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base / "venv"], check=True)
    python = base / "venv/bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps",
         "--no-index", wheel],
        check=True,
    )  # fmt: skip
    (packages,) = (base / "venv/lib").glob("python*/site-packages")
    # A path file that holds a path alone: those of the packages there are not read, and with them
    # what finds the project's own sources.
    (packages / "beside.pth").write_text(sysconfig.get_paths()["purelib"])
    (base / "anywhere").mkdir()
    return Installed(base / "venv/bin", base / "anywhere")


def test_a_wheel_holds_the_workflow_and_nothing_of_the_repository_beside_it(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for part in ("Snakefile", "workflow", "profiles", "configs"):
        files = [PROJECT / part] if part == "Snakefile" else (PROJECT / part).rglob("*")
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"ssl_methods/_project/{file.relative_to(PROJECT).as_posix()}" in names
    roots = {name.partition("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"ssl_methods"}


def test_the_quickstart_runs_from_a_wheel_in_any_folder(installed: Installed):
    done = installed.run("quickstart", "--cores", "2", *SHORT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "results/quickstart/report.html"
    assert (installed.folder / "results/quickstart/report.html").is_file()
    assert {path.name for path in installed.folder.iterdir()} == {".snakemake", "results"}

    again = installed.run("quickstart", "--cores", "2", *SHORT)
    assert again.returncode == 0 and "is there already" in again.stdout, again.stdout


def test_an_experiment_of_ones_own_runs_from_a_wheel(installed: Installed):
    (installed.folder / "mine.yaml").write_text(
        "name: mine\ndataset: phantom\nmethods: [supervised]\nbudgets: [2]\nsubsets: 1\n"
        "network: {width: 2, levels: 2}\n"
    )
    done = installed.run("run", "mine.yaml", "-n", "--directory", "elsewhere", *SHORT[:1],
                         *SHORT[4:5])  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "train" in done.stdout and (installed.folder / "elsewhere").is_dir()
    doctor = installed.run("doctor", "mine.yaml")
    assert doctor.returncode == 0, doctor.stdout
    assert "quickstart" in installed.run("doctor").stdout
