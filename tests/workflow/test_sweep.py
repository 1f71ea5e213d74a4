"""A tiny experiment through the real Snakefile: what it makes, and what makes it run again."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support.harness import TINY, Workflow, copy_project

pytestmark = [pytest.mark.workflow, pytest.mark.system]

RUN = "labeled-2/subset-0/seed-0"
ONE = {"train": 1, "evaluate": 1, "collect": 1, "report": 1}
TRAINED = ["run.yaml", "model.pt", "history.csv", "cost.json", "provenance.json"]


def test_from_nothing_to_a_report(finished):
    workflow, printed = finished
    results = workflow.folder / "results" / "tiny"
    assert printed.splitlines()[-1] == "results/tiny/report.html"
    assert (results / "report.html").is_file()
    for method in ("supervised", "dtc"):
        run = results / "runs" / method / RUN
        for name in [*TRAINED, "cases.csv", "slices.npz", "train.log", "evaluate.log"]:
            assert (run / name).stat().st_size > 0, f"{method}/{name}"
        assert not (run / "checkpoint.pt").exists()
    with (results / "tables" / "runs.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "done"]


def test_snakemakes_own_report_needs_no_network(finished):
    workflow, _ = finished
    proxy = "http://127.0.0.1:9"  # nothing listens there
    done = workflow.snakemake(
        "--report", "jobs.html", experiment=TINY, https_proxy=proxy, http_proxy=proxy
    )
    assert done.returncode == 0, done.stdout
    page = (workflow.folder / "jobs.html").read_text()
    assert "All results: figures, tables" in page and "results/tiny/report.html" in page
    assert not re.search(r"<(script|link)[^>]+(src|href)=.?https?://", page)


def test_a_second_time_nothing_is_to_be_done(finished):
    workflow, _ = finished
    assert workflow.planned(TINY) == {}


# What runs again after which change is a table in tests/unit/test_grid.py; that Snakemake heeds it
# is shown by these two dry runs.


def test_a_method_that_changes_runs_again_alone(finished):
    workflow, _ = finished
    changed = TINY | {"methods": {"supervised": {}, "dtc": {"weight": 0.5}}}
    assert workflow.planned(changed) == ONE


def test_a_source_that_changes_runs_again_what_rests_on_it(finished, tmp_path):
    workflow = Workflow(copy_project(tmp_path / "project"), finished[0].folder)
    with (workflow.project / "ssl_methods/methods/dtc.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert workflow.planned(TINY) == ONE


def test_the_cost_of_what_is_left_is_said_from_what_is_done(finished, tmp_path):
    workflow = copy_of(finished[0], tmp_path)
    extended = TINY | {"methods": ["supervised"], "seeds": 2}
    done = workflow.snakemake("models", experiment=extended)
    assert done.returncode == 0, done.stdout
    run = workflow.folder / "results" / "tiny" / "runs" / "supervised" / RUN
    took = json.loads((run / "progress.jsonl").read_text().splitlines()[0])["seconds"]
    said = f"tiny: 1 of 2 runs done, 1 to come; about {took / 2:.0f} s left (training {took:.0f} s;"
    assert said in done.stdout
    assert re.search(
        r"^took .*: \d+% (more|less) than the .* forecast at the start$", done.stdout, re.M
    )


def copy_of(workflow: Workflow, folder: Path) -> Workflow:
    shutil.copytree(workflow.folder, folder / "copy")
    return Workflow(workflow.project, folder / "copy")


def test_killed_in_training_it_resumes_to_the_same_bits(finished, workflow: Workflow):
    undisturbed = finished[0].folder / "results" / "tiny" / "runs"
    disturbed = workflow.folder / "results" / "tiny" / "runs"
    run = disturbed / "dtc" / RUN
    with subprocess.Popen(
        workflow.command("measurements", experiment=TINY),
        cwd=workflow.project,
        env=workflow.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as snakemake:
        kill_training(snakemake.pid, "dtc", once_exists=run / "checkpoint.pt")
        assert snakemake.wait() == 1
    assert (run / "checkpoint.pt").exists()
    assert not (run / "model.pt").exists()

    done = workflow.snakemake("measurements", experiment=TINY)
    assert done.returncode == 0, done.stdout
    assert json.loads((run / "provenance.json").read_text())["resumed_from"]
    for method in ("supervised", "dtc"):
        for name in ("model.pt", "cases.csv"):
            same = (undisturbed / method / RUN / name).read_bytes()
            assert (disturbed / method / RUN / name).read_bytes() == same, f"{method}/{name}"


def kill_training(snakemake: int, method: str, once_exists: Path) -> None:
    """SIGKILL the process that trains, as soon as its checkpoint is there."""
    give_up = time.monotonic() + 120
    while not once_exists.exists():
        assert time.monotonic() < give_up, f"{once_exists} did not appear"
        time.sleep(0.005)
    for process in psutil.Process(snakemake).children(recursive=True):
        command = process.cmdline()
        if "train" in command and method in command and "ssl_methods" in command:
            os.kill(process.pid, signal.SIGKILL)
            return
    raise AssertionError("training had ended before it could be killed")


def test_a_budget_too_large_is_named_before_any_training(workflow: Workflow):
    done = workflow.snakemake(experiment=TINY | {"budgets": [99, 2]})
    assert done.returncode == 1
    assert "error: " in done.stdout
    assert "99" in done.stdout.partition("error: ")[2].splitlines()[0]
    assert "Traceback" not in done.stdout
    assert not list((workflow.folder / "results/tiny").rglob("train.log"))


def test_a_failed_run_says_why_and_the_others_go_on(workflow: Workflow):
    diverging = {"method": "supervised", "ce_weight": 1e38}
    methods = {"supervised": {}, "diverging": diverging}
    done = workflow.snakemake("models", experiment=TINY | {"methods": methods})
    assert done.returncode == 1
    assert re.search(r"error: loss term '\w+' became (nan|inf) at iteration \d+", done.stdout)
    assert "Traceback" not in done.stdout
    assert (workflow.folder / "results/tiny/runs/supervised" / RUN / "model.pt").is_file()
    assert not (workflow.folder / "results/tiny/runs/diverging" / RUN / "model.pt").exists()


@pytest.mark.parametrize(("asked", "allowed"), [((), 2), (("--resources", "gpu=1"), 1)])
def test_gpu_jobs_are_no_more_than_gpus(asked, allowed, workflow: Workflow):
    done = workflow.snakemake(
        "data", "--verbose", *asked, experiment=TINY, CUDA_VISIBLE_DEVICES="0,1"
    )
    assert re.search(rf"Provided resources: gpu=\D*{allowed}\b", done.stdout), done.stdout
