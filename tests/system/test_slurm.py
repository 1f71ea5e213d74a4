"""The same experiment on a SLURM cluster of one node, which the test starts and stops."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support import slurm_node
from support.harness import TINY, Workflow, new_workflow

from ssl_methods.config import load_experiment
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.training.train import train

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(900)]

# What a test cannot wait for, and what this one-node cluster lacks: accounting.
IMPATIENT = [
    "--latency-wait=5",
    "--seconds-between-status-checks=1",
    "--slurm-init-seconds-before-status-checks=1",
    "--slurm-status-command=squeue",
    "--slurm-no-account",
]
ON_CPU = TINY | {"training": TINY["training"] | {"device": "cpu"}}
RUN = "labeled-2/subset-0/seed-0"


@pytest.fixture(scope="module")
def node() -> Iterator[None]:
    """The cluster; skips where there is none to be had."""
    if not find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip("snakemake-executor-plugin-slurm is not installed")
    if reason := slurm_node.why_not():
        pytest.skip(reason)
    with slurm_node.one_node():
        yield


@pytest.fixture(scope="module")
def cluster(node: None, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A folder whose prepared data the tests share."""
    return new_workflow(tmp_path_factory.mktemp("slurm"))


def submit(
    workflow: Workflow, *arguments: str, experiment: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    profile = str(workflow.project / "profiles" / "slurm")
    return workflow.snakemake(*arguments, "--profile", profile, *IMPATIENT, experiment=experiment)


def cases_trained_here(workflow: Workflow, method: str) -> bytes:
    """``cases.csv`` of a run of the tiny experiment, without Snakemake and without SLURM."""
    run, results = load_experiment(ON_CPU).run(method, 2, 0, 0), workflow.folder / "results"
    out = workflow.folder / "here" / method
    if not out.exists():
        train(run, results, out)
        evaluate(out, results)
    return (out / "cases.csv").read_bytes()


def test_a_sweep_on_a_cluster_ends_as_it_does_here(cluster: Workflow):
    done = submit(cluster, "--verbose", experiment=ON_CPU)
    assert done.returncode == 0, done.stdout
    results = cluster.folder / "results" / "tiny"
    assert (results / "report.html").is_file()
    assert done.stdout.count("has been submitted with SLURM jobid") == 7  # `split` stays here
    for method in ("supervised", "dtc"):
        cases = (results / "runs" / method / RUN / "cases.csv").read_bytes()
        assert cases == cases_trained_here(cluster, method)


def test_a_cancelled_run_resumes_by_the_same_command(cluster: Workflow):
    experiment = ON_CPU | {"name": "cancelled", "methods": ["supervised"]}
    run = cluster.folder / "results" / "cancelled" / "runs" / "supervised" / RUN

    with ThreadPoolExecutor() as aside:  # --retries: else Snakemake itself would submit it again
        command = aside.submit(
            submit, cluster, "measurements", "--retries=0", experiment=experiment
        )
        wait_for(run / "checkpoint.pt", command)
        subprocess.run(["scancel", "--state=RUNNING", "--user=root"], check=True)
        cancelled = command.result()
    assert cancelled.returncode == 1, cancelled.stdout
    assert (run / "checkpoint.pt").exists()
    assert not (run / "model.pt").exists()

    done = submit(cluster, "measurements", "--retries=0", experiment=experiment)
    assert done.returncode == 0, done.stdout
    assert json.loads((run / "provenance.json").read_text())["resumed_from"]
    assert (run / "cases.csv").read_bytes() == cases_trained_here(cluster, "supervised")


def wait_for(path: Path, command: Future[subprocess.CompletedProcess[str]]) -> None:
    while not path.exists():
        assert not command.done(), command.result().stdout
        time.sleep(0.005)


def test_two_jobs_are_given_two_gpus(cluster: Workflow):
    """The node's GPUs are none, so that each job ends by saying which one it was given."""
    done = submit(cluster, "models", "--retries=0", experiment=TINY | {"name": "gpus"})
    assert done.returncode == 1
    logs = cluster.folder.glob(f"results/gpus/runs/*/{RUN}/train.log")
    given = [re.findall(r"error: GPU (\w+) is visible", log.read_text()) for log in logs]
    assert sorted(given) == [["0"], ["1"]], done.stdout
