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

EXPERIMENTS = sorted((PROJECT / "configs" / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_declared_experiment_can_be_planned(path: Path, workflow: Workflow):
    experiment = load_experiment(path)
    source = experiment.dataset.path
    if source is not None and not (PROJECT / source).exists():
        pytest.skip(f"{source} is absent")
    runs = len(list(experiment.runs()))
    counts = workflow.planned(yaml.safe_load(path.read_text()))
    assert counts["train"] == counts["evaluate"] == runs
    assert counts["split"] == len({(run.budget, run.subset) for run in experiment.runs()})
    assert counts["prepare"] == counts["collect"] == counts["report"] == 1


def test_every_rule_asks_slurm_for_time_and_memory():
    rules = [path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk")]
    named = set(re.findall(r"^rule (\w+):", "\n".join(rules), re.M))
    profile = yaml.safe_load((PROJECT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert named == set(profile["set-resources"])
    assert all(it["mem_mb"] > 0 < it["runtime"] for it in profile["set-resources"].values())


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


def test_a_config_file_is_not_merged_with_the_quickstart(workflow: Workflow):
    # `subsets` is 2 in the quickstart and 3 by default.
    experiment = {key: value for key, value in TINY.items() if key != "subsets"}
    assert workflow.planned(experiment)["split"] == 3


def test_values_by_config_are_those_of_a_file(workflow: Workflow):
    """And files after one another; that it is so for every setting: tests/unit/test_config.py."""
    second = workflow.folder / "second.yaml"
    second.write_text("subsets: [7]\ntraining: {learning_rate: 1e-3}\n")
    words = ["budgets=[1.0, all_is_no_number]", "evaluation={stride: null}"]
    plan = [*workflow.command("-n", "splits", experiment=TINY), str(second), "--config"]

    def planned(*words: str) -> str:
        done = subprocess.run(
            [*plan, *words],
            cwd=workflow.project,
            env=workflow.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    found = planned("budgets=[1.0]", words[1])
    assert set(re.findall(r"labeled-\S+_subset-\d+", found)) == {"labeled-1.0_subset-7"}
    assert "error: tiny: budgets.1: budget 'all_is_no_number'" in planned(words[0])


def test_budgets_that_mean_the_same_are_refused_before_anything_is_trained(workflow: Workflow):
    data = workflow.snakemake("data", experiment=TINY)
    assert data.returncode == 0, data.stdout
    done = workflow.snakemake("-n", experiment=TINY | {"budgets": [4, "all"]})
    assert done.returncode == 1
    assert "error: tiny: budgets 4 and all both mean 4 labeled cases of tiny" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["dtcc"]}, "there is no method 'dtcc'; did you mean 'dtc'?"),
        ({"methods": {"dtc": {"kk": 1}}}, "kk: unknown key; did you mean 'k'?"),
        ({"trainig": {}}, "trainig: unknown key; did you mean 'training'?"),
        ({"network": {"width": 0}}, "network.width"),
        ({"dataset": {"name": "x", "importer": "folder", "path": "absent"}}, "absent"),
    ],
)
def test_bad_settings_end_in_one_line(change: dict, message: str, workflow: Workflow):
    done = workflow.snakemake("-n", experiment=TINY | change)
    errors = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stdout


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


def test_lint_finds_nothing(workflow: Workflow):
    done = workflow.snakemake("--lint")
    assert done.returncode == 0, done.stdout


def test_rules_are_formatted():
    files = ["Snakefile", "workflow"]
    done = subprocess.run(
        [Path(sys.executable).with_name("snakefmt"), "--check", *files],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_conda_environment_is_that_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    own_names = {"matplotlib": "matplotlib-base", "torch": "pytorch"}
    declared = {"python": project["requires-python"]}
    for requirement in map(Requirement, project["dependencies"]):
        if requirement.name not in {"snakemake", "pygments"}:  # not needed by jobs
            declared[own_names.get(requirement.name, requirement.name)] = str(requirement.specifier)
    environment = yaml.safe_load((PROJECT / "workflow" / "envs" / "ssl_methods.yaml").read_text())
    assert dict(line.split(" ") for line in environment["dependencies"]) == declared
