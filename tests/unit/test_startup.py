"""What each verb imports: help and errors come at once, and no job loads what it does not use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.tiny import tiny_experiment

from ssl_methods.files import write_yaml

VERB = """\
import sys
from ssl_methods.cli import main
status = main(sys.argv[1:])
print("imported:", *sys.modules)
sys.exit(status)
"""
HEAVY = {
    "torch", "monai", "scipy", "pandas", "matplotlib", "statsmodels", "h5py", "nibabel", "nrrd",
    "skimage", "snakemake", "tensorboard", "torch._dynamo",
}  # fmt: skip


def imported(*arguments: object) -> set[str]:
    """The heavy packages that a verb has loaded by its end."""
    command = [sys.executable, "-c", VERB, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.rpartition("imported:")[2].split())


@pytest.fixture(scope="module")
def of_verb(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """One run from nothing to its tables; what each verb loaded."""
    folder = tmp_path_factory.mktemp("startup")
    file, results = folder / "experiment.yaml", folder / "results"
    write_yaml(file, tiny_experiment(methods=["supervised"]).model_dump(mode="json"))
    cell = ["--method", "supervised", "--budget", 2, "--results", results]
    np.save(folder / "label.npy", np.eye(8, dtype=np.uint8))
    return {
        "prepare": imported("prepare", file, "--out", results),
        "split": imported("split", file, "--out", results),
        "train": imported("train", file, *cell),
        "evaluate": imported("evaluate", file, *cell),
        "collect": imported("collect", file, "--out", results),
        "metrics": imported("metrics", folder / "label.npy", folder / "label.npy"),
    }


@pytest.mark.parametrize("verb", ["prepare", "split"])
def test_what_is_no_computing_imports_nothing_heavy(of_verb: dict[str, set[str]], verb: str):
    assert not of_verb[verb] - {"scipy"}


def test_what_computes_imports_torch_and_little_else(of_verb: dict[str, set[str]]):
    assert of_verb["evaluate"] - {"scipy"} == {"torch"}
    assert of_verb["train"] - {"scipy"} == {"torch"}


def test_tables_and_metrics_need_no_torch(of_verb: dict[str, set[str]]):
    assert not of_verb["collect"] & {"torch", "monai", "matplotlib", "nibabel", "h5py"}
    assert not of_verb["metrics"] & {"torch", "monai", "matplotlib", "pandas"}


def test_figures_need_no_torch():
    program = "import ssl_methods.reporting.report, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_error_in_an_experiment_is_said_before_anything_is_loaded(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("name: x\n")
    program = VERB.replace("sys.exit(status)", "sys.exit(status != 2)")
    for verb in ("train", "evaluate"):
        command = [sys.executable, "-c", program, verb, str(tmp_path / "x.yaml")]
        done = subprocess.run(
            [*command, "--method", "dtc", "--budget", "2"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert not {"torch", "scipy", "pandas"} & set(done.stdout.split())
