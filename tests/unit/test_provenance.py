"""Source digests: a stage depends on what it imports, and on no more."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_methods

SOURCES = Path(ssl_methods.__file__).parent
STAGES = ("prepare", "train", "evaluate", "collect", "report")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(SOURCES, tmp_path / "ssl_methods", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def digests(folder):
    code = (
        "from ssl_methods.provenance import source_digest\n"
        f"for stage in {STAGES}: print(stage, source_digest(stage))\n"
        "for name in ('dtc', 'supervised'): print(name, source_digest('train', name))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in run.stdout.splitlines())


def changed_by(folder, file, code):
    """The stages that one more line of code in a file reruns."""
    before = digests(folder)
    with (folder / "ssl_methods" / file).open("a") as source:
        source.write(f"\n{code}\n")
    after = digests(folder)
    return {key for key in before if before[key] != after[key]}


def test_a_loss_reruns_training(copy):
    changed = changed_by(copy, "losses.py", "SMOOTH = 1e-6")
    assert {"train", "dtc", "supervised", "evaluate"} >= changed >= {"dtc", "supervised"}


def test_a_method_reruns_itself_alone(copy):
    assert changed_by(copy, "methods/dtc.py", "DTC.uses_unlabeled = False") == {"dtc"}


def test_a_figure_reruns_no_training(copy):
    changed = changed_by(copy, "reporting/style.py", "WIDTH = 1")
    assert changed == {"report"}


def test_the_template_of_the_page_reruns_the_report_alone(copy):
    file = "reporting/templates/report.html.j2"
    assert changed_by(copy, file, "<p>more</p>") == {"report"}


def test_what_changes_no_number_reruns_nothing(copy):
    """Nor does a module inside such a package, imported by its own name."""
    modules = ["config.base", "config.reading", "devices.leases", "files"]
    with (copy / "ssl_methods" / "losses.py").open("a") as source:
        source.writelines(f"\nimport ssl_methods.{module}\n" for module in modules)
    before = digests(copy)
    for module in modules:
        path = copy / "ssl_methods" / f"{module.replace('.', '/')}.py"
        path.write_text(path.read_text() + "\nEDITED = True\n")
    assert digests(copy) == before


def test_comments_and_docstrings_rerun_nothing(copy):
    before = digests(copy)
    path = copy / "ssl_methods" / "losses.py"
    path.write_text(
        path.read_text().replace('"""Segmentation losses', '"""All losses') + "\n# a remark\n"
    )
    assert digests(copy) == before
