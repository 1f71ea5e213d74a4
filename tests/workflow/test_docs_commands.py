"""Every command of the pages, in order, in a tiny setting; or the reason why it is not run.

A command is a line of a block marked `sh`. The experiments that they name are replaced by one of
seconds, and what would be the same sweep again is planned with `-n`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.harness import PROJECT, TINY, Workflow, new_workflow

pytestmark = [pytest.mark.workflow, pytest.mark.long]

PAGES = [
    "docs/tutorial/quickstart.md",
    "docs/how-to/run-an-experiment.md",
    "docs/how-to/write-it-up.md",
    "docs/how-to/reproduce-the-paper.md",
    "README.md",
]
NOT_RUN = {
    r"make (benchmark|test|lint)$": "they set up an environment; CI runs what they run",
    r"make (faults|bench|test-long)$": "they take long; their parts are tested",
    r"\. \.venv/bin/activate$": "the environment of the tests is active",
    r"ssl-methods methods check dtc": "the tests of every method run it",
    r"snakemake --report": "test_sweep.py runs it on a finished experiment",
    r"ssl-methods (import-checkpoint|score)": "test_score.py scores one of each naming",
    r"git clone": "it needs the network",
    r"python3 -m venv": "the environment of the tests is active",
    r"pip install \.$": "tests/system/test_wheel.py installs a wheel",
}
OTHER_PAGES = {
    "docs/how-to/add-a-method.md": "followed in test_own_method.py",
    "docs/how-to/measure-on-a-gpu.md": "test_gpu_day.py rehearses it",
    "docs/how-to/plan-a-comparison.md": "test_plan.py and test_detection.py",
    "docs/how-to/tune.md": "test_tune.py",
    "docs/how-to/use-your-own-scans.md": "followed in test_own_scans.py",
    "docs/how-to/use-published-files.md": "test_data_published_layouts.py has each layout",
    "docs/how-to/segment-histology.md": "three sweeps; test_stains_report.py compares such",
    "docs/how-to/run-on-a-cluster.md": "test_slurm.py; Kubernetes is not tested",
    "docs/how-to/watch-a-run.md": "recorded by benchmarks/sessions.py; test_stopping.py",
}


def commands(page: str) -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", (PROJECT / page).read_text(), re.M | re.S)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def reason(command: str) -> str:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command)), "")


def as_planned(command: str) -> str:
    """Whole sweeps are tested elsewhere: here to the models or measurements, or only planned."""
    sweep = re.match(r"snakemake|ssl-methods (run|quickstart)", command)
    if not sweep or " -n " in command or " models " in command:
        return command
    return f"{command} -n" if sweep[1] else command.replace("snakemake", "snakemake -n", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The project's folder, all of its experiments tiny."""
    project = new_workflow(tmp_path_factory.mktemp("docs")).project
    for path in (project / "configs/experiments").glob("*.yaml"):
        name = yaml.safe_load(path.read_text())["name"]
        training = TINY["training"] | {"iterations": 2}
        data = TINY["dataset"] | {"train_cases": 6}
        tiny = TINY | {"name": name, "dataset": data, "budgets": [4], "training": training}
        path.write_text(yaml.safe_dump(tiny))
    workflow = Workflow(project, project)
    done = workflow.snakemake("measurements")  # for `make benchmark`
    assert done.returncode == 0, done.stdout
    return workflow


def test_commands_stand_in_blocks_that_are_run():
    """A block without a language holds no command; every page with commands is on a list."""
    start = re.compile(r"^ *(make|snakemake|ssl-methods|python3? -m|pip|\. )", re.M)
    for path in [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]:
        page = str(path.relative_to(PROJECT))
        for fence, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```", path.read_text(), re.M | re.S):
            assert fence or not start.search(block), f"{page}: {block}"
        assert page in PAGES or page in OTHER_PAGES or not commands(page), page


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_works(page: str, place: Workflow):
    """In order; a command that an earlier page has is run there."""
    active = os.pathsep.join([str(Path(sys.executable).parent), place.environment()["PATH"]])
    earlier = {command for before in PAGES[: PAGES.index(page)] for command in commands(before)}
    own = [command for command in commands(page) if not reason(command)]
    assert own, page
    for command in dict.fromkeys(own):
        if command in earlier:
            continue
        done = subprocess.run(
            as_planned(command),
            shell=True,
            cwd=place.project,
            env=place.environment(PATH=active),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
