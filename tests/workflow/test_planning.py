"""What Snakemake decides before any job runs."""

from __future__ import annotations

import pstats
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from support.harness import PROJECT, SHARED, TINY, Workflow

from ssl_methods.config import load_experiment

pytestmark = pytest.mark.workflow


def test_every_rule_asks_slurm_for_time_and_memory():
    rules = [path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk")]
    named = set(re.findall(r"^(?:rule|checkpoint) (\w+):", "\n".join(rules), re.M))
    profile = yaml.safe_load((PROJECT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert named == set(profile["set-resources"])
    assert all(it["mem_mb"] > 0 < it["runtime"] for it in profile["set-resources"].values())


@pytest.mark.system
def test_the_line_that_users_type(workflow: Workflow):
    if not (SHARED / "data" / "left_atrium").is_dir():
        pytest.skip("shared/data/left_atrium is absent")
    line = "--cores 8 --resources gpu=2 --configfile configs/experiments/left_atrium.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *line.split()],
        cwd=workflow.project,
        env=workflow.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "profiles/default" in done.stderr


def test_without_a_config_file_it_is_the_quickstart(workflow: Workflow):
    quickstart = load_experiment(PROJECT / "configs" / "experiments" / "quickstart.yaml")
    assert workflow.planned()["train"] == len(list(quickstart.runs()))


def test_the_last_line_of_a_dry_run_is_what_it_would_take(workflow: Workflow):
    last = workflow.snakemake("-n", experiment=TINY).stdout.strip().splitlines()[-1]
    runs = len(list(load_experiment(TINY).runs()))
    assert last.startswith(f"{TINY['name']}: 0 of {runs} runs done, {runs} to come; time left: ")


@pytest.mark.system
def test_a_config_file_is_not_merged_with_the_quickstart(workflow: Workflow):
    # `subsets` is 2 in the quickstart and 3 by default.
    experiment = {key: value for key, value in TINY.items() if key != "subsets"}
    assert workflow.planned(experiment)["split"] == 3


@pytest.mark.system
def test_words_after_config_are_those_of_a_file_and_a_fault_ends_in_one_line(workflow: Workflow):
    """That it is so for every setting and every fault: tests/unit/test_config.py."""
    second = workflow.folder / "second.yaml"
    second.write_text("subsets: [7]\ntraining: {learning_rate: 1e-3}\n")
    plan = [*workflow.command("-n", "splits", experiment=TINY), str(second), "--config"]
    found = printed(workflow, *plan, "budgets=[1.0]", "evaluation={stride: null}")
    assert set(re.findall(r"labeled-\S+_subset-\d+", found)) == {"labeled-1.0_subset-7"}
    found = printed(workflow, *plan, "budgets=[1.0, all_is_no_number]")
    (line,) = (line for line in found.splitlines() if line.startswith("error: "))
    assert line.startswith("error: tiny: budgets.1: budget 'all_is_no_number'")
    assert "Traceback" not in found


def printed(workflow: Workflow, *command: str) -> str:
    return subprocess.run(
        command,
        cwd=workflow.project,
        env=workflow.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


@pytest.mark.system
def test_planning_a_thousand_runs_asks_for_each_digest_once(workflow: Workflow, tmp_path: Path):
    grid = {"budgets": [1, 2, 3, 4, "all"], "subsets": 10, "seeds": 10}
    plan = workflow.command("-n", experiment=TINY | grid)
    plan[1:1] = ["-m", "cProfile", "-o", str(tmp_path / "profile")]
    done = subprocess.run(
        plan,
        cwd=workflow.project,
        env=workflow.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^total +2054$", done.stdout, re.M), done.stdout[-2000:]

    calls: Counter[str] = Counter()
    for (file, _, function), (_, times, *_) in pstats.Stats(
        str(tmp_path / "profile")
    ).stats.items():
        if "ssl_methods" in file:
            calls[function] += times
    assert calls["training_digest"] == 2 * 1000  # that of an evaluation is of its training's too
    assert calls["evaluation_digest"] == 1000
    assert calls["source_digest"] < 20  # by stage and method, not by run
    assert calls["source_fingerprint"] == 1
    assert calls["visible_gpus"] == 1


def test_the_conda_environment_is_that_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    own_names = {"matplotlib": "matplotlib-base", "torch": "pytorch"}
    declared = {"python": project["requires-python"]}
    for requirement in map(Requirement, project["dependencies"]):
        if requirement.name not in {"snakemake", "pygments"}:  # not needed by jobs
            declared[own_names.get(requirement.name, requirement.name)] = str(requirement.specifier)
    environment = yaml.safe_load((PROJECT / "workflow" / "envs" / "ssl_methods.yaml").read_text())
    assert dict(line.split(" ") for line in environment["dependencies"]) == declared
