"""Two phases and looks through Snakemake: chosen, judged, gone on with; killed and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from support.harness import Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.long]

TWO = {
    "name": "two",
    "dataset": {
        "name": "tiny", "importer": "phantom", "shape": [24, 24, 16], "train_cases": 12,
        "test_cases": 20,
    },
    "methods": {
        "supervised": {}, "mean_shape": {}, "sdf_multitask": {}, "dtc": {"subsets": 2},
    },
    "budgets": [2],
    "labeled_cases": "partition",
    "subsets": {"baseline": 6, "compared": 4, "level_cases": 5},
    "looks": [3],
    "network": {"width": 2, "levels": 3},
    "training": {"patch_size": [16, 16, 16], "iterations": 4},
}  # fmt: skip


def trained(workflow: Workflow, method: str) -> list[int]:
    runs = (workflow.folder / "results/two/runs" / method / "labeled-2").glob("*/*/cases.csv")
    return sorted(int(path.parts[-3].removeprefix("subset-")) for path in runs)


def record(workflow: Workflow, name: str) -> dict:
    return json.loads((workflow.folder / "results/two" / name).read_text())


def test_two_phases_and_a_look_that_decides_then_one_that_does_not(workflow: Workflow) -> None:
    done = killed_once(workflow)
    assert done.returncode == 0, done.stdout
    order = record(workflow, "splits/labeled-2_compared.json")["subsets"]
    assert len(set(order)) == 4
    assert trained(workflow, "supervised") == [0, 1, 2, 3, 4, 5]
    assert trained(workflow, "sdf_multitask") == sorted(order[:3])
    assert trained(workflow, "dtc") == [0, 1]
    look = record(workflow, "looks/labeled-2_subsets-3.json")
    assert look["decided"] and set(look["verdicts"]) == {"sdf_multitask"}
    assert workflow.planned(TWO) == {}
    # As if it had not decided: one more subset is trained, and the last look is made.
    path = workflow.folder / "results/two/looks/labeled-2_subsets-3.json"
    path.write_text(json.dumps(look | {"decided": False}))
    done = workflow.snakemake(experiment=TWO)
    assert done.returncode == 0, done.stdout
    assert trained(workflow, "sdf_multitask") == sorted(order)
    assert record(workflow, "looks/labeled-2.json")["subsets"] == 4
    tables = workflow.folder / "results/two/tables/comparisons.csv"
    assert ",4," in tables.read_text()


def killed_once(workflow: Workflow) -> subprocess.CompletedProcess[str]:
    """Snakemake is killed when the subsets are chosen; the same command goes on."""
    with (workflow.folder / "printed").open("wb") as printed:
        first = subprocess.Popen(
            workflow.command(experiment=TWO), cwd=workflow.project, env=workflow.environment(),
            stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        chosen = workflow.folder / "results/two/splits/labeled-2_compared.json"
        wait_for(chosen, first)
        first.send_signal(signal.SIGKILL)
        first.wait()
    before = chosen.read_bytes()
    done = workflow.snakemake(experiment=TWO)
    assert chosen.read_bytes() == before
    return done


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, "it ended before subsets were chosen"
        time.sleep(0.1)


def test_an_experiment_without_looks_has_no_job_of_them(workflow: Workflow) -> None:
    plain = yaml.safe_load(yaml.safe_dump(TWO)) | {"subsets": 2, "looks": []}
    assert not {"choose", "look", "settle"} & set(workflow.planned(plain))
