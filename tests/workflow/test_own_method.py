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

pytestmark = pytest.mark.workflow

PAGE = (PROJECT / "docs/how-to/add-a-method.md").read_text()
ADDED = ("--config", "method_module=pseudo_label.py")
AGAIN = {"train": 1, "evaluate": 1, "collect": 1, "report": 1}


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


@pytest.mark.parametrize(
    ("added", "again"),
    [("", {}), ("\n# A remark.\n", {}), ("\nEDITED = True\n", AGAIN)],
    ids=["nothing", "a comment", "code"],
)
def test_an_edit_trains_it_alone(followed, added, again):
    workflow, _ = followed
    path = workflow.project / "pseudo_label.py"
    before = path.read_text()
    path.write_text(before + added)
    try:
        assert workflow.planned(None, *ADDED) == again
    finally:
        path.write_text(before)


def test_the_experiment_file_may_name_it(followed):
    """Under two names and with settings; the row that is trained already is not trained again."""
    workflow, _ = followed
    (declared,) = (yaml.safe_load(block) for block in blocks("yaml"))
    experiment = TINY | {"name": "quickstart"} | declared
    assert workflow.planned(experiment) == AGAIN


def test_several_are_added_and_keep_the_settings_that_the_experiment_gives_them(followed):
    workflow, _ = followed
    (workflow.project / "second.py").write_text(blocks("python")[0])
    methods = {"supervised": None, "pseudo_label": {"confidence": 0.8}}
    done = workflow.snakemake(
        "-n",
        "--config",
        "method_module=pseudo_label.py,second.py",
        experiment=TINY | {"name": "quickstart", "methods": methods},
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^train +2$", done.stdout, re.M), done.stdout  # other settings, and a new one


def test_a_file_that_is_absent_ends_in_one_line(workflow: Workflow):
    done = workflow.snakemake("-n", "--config", "method_module=absent.py", experiment=TINY)
    errors = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1 and "absent.py: is no Python file" in errors[0]
    assert "Traceback" not in done.stdout
