"""A method of one's own, in a file outside the package: the page on adding one, step by step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.harness import PROJECT, TINY, Workflow, new_workflow

from ssl_methods.reporting.looks import looks

pytestmark = [pytest.mark.workflow, pytest.mark.system]

PAGE = (PROJECT / "docs/how-to/add-a-method.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, list[str]]:
    """The page's commands, run in the project's folder with a quickstart of seconds, and what they
    print."""
    project = new_workflow(tmp_path_factory.mktemp("own")).project
    quickstart = TINY | {"name": "quickstart", "methods": ["supervised", "dtc"]}
    (project / "configs/experiments/quickstart.yaml").write_text(yaml.safe_dump(quickstart))
    (project / "pseudo_label.py").write_text(blocks("python")[0])
    workflow = Workflow(project, project)
    active = os.pathsep.join([str(Path(sys.executable).parent), workflow.environment()["PATH"]])
    printed = []
    for command in blocks("sh")[:3]:  # after them: those of a checkout with .venv
        done = subprocess.run(
            command,
            shell=True,
            cwd=project,
            env=workflow.environment(PATH=active),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    return workflow, printed


def test_the_page_leads_to_a_row(followed):
    workflow, (checked, _, row) = followed
    assert checked == blocks("text")[0]
    assert row.split(",")[:4] == ["tiny", "pseudo_label", "method", "unified"]
    results = workflow.folder / "results/quickstart"
    assert "pseudo_label" in (results / "report.html").read_text()
    experiment = yaml.safe_load((results / "experiment.yaml").read_text())
    assert experiment["methods"]["pseudo_label"]["module"] == "pseudo_label.py"


def test_it_has_a_colour_of_its_own():
    found = looks(["supervised", "dtc", "mean_teacher", "pseudo_label"])
    assert len({look.colour for look in found.values()}) == 4


def test_an_edit_trains_it_alone(followed):
    """What counts as an edit, other names, several files: tests/unit/test_grid.py."""
    workflow, _ = followed
    with (workflow.project / "pseudo_label.py").open("a") as file:
        file.write("\nEDITED = True\n")
    again = {"train": 1, "evaluate": 1, "collect": 1, "report": 1}
    assert workflow.planned(None, "--config", "method_module=pseudo_label.py") == again
