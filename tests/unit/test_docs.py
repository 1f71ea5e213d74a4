"""The documentation does what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ssl_methods.reporting.showcase import main_table, with_table

ROOT = Path(__file__).parents[2]


def test_the_method_of_the_how_to_trains_and_predicts(tmp_path, experiment):
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.S)
    shutil.copytree(
        ROOT / "ssl_methods", tmp_path / "ssl_methods", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "ssl_methods/methods/pseudo_label.py").write_text(source)
    declared = experiment(methods=["supervised", "pseudo_label"]).model_dump(mode="json")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(declared))

    def verb(*arguments):
        command = [sys.executable, "-m", "ssl_methods", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "pseudo_label" in verb("methods")
    verb("train", "tiny.yaml", "--method", "pseudo_label", "--budget", "2", "--out", "run")
    verb("evaluate", "run")
    rows = (tmp_path / "run/cases.csv").read_text().splitlines()
    assert len(rows) == 3
    history = (tmp_path / "run/history.csv").read_text().splitlines()
    assert "pseudo_label" in history[0]


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["left_atrium_small", "hippocampus"])
def test_the_numbers_of_the_readme_are_those_of_the_showcase(name):
    page = (ROOT / "README.md").read_text()
    assert f"<!-- {name} -->" in page
    assert with_table(page, name, main_table(ROOT / "results/showcase" / name)) == page
