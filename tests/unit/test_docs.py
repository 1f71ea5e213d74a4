"""The documentation does what it says."""

import json
import os
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import ssl_methods
from ssl_methods import methods
from ssl_methods.analysis.bibliography import papers
from ssl_methods.checks import check_method
from ssl_methods.config import NetworkConfig, TrainingConfig, load_experiment
from ssl_methods.errors import UserError
from ssl_methods.methods.base import make_optimizer
from ssl_methods.reporting.showcase import main_table, with_table
from ssl_methods.settings_pages.citation import codemeta, zenodo
from ssl_methods.settings_pages.pages import packaged
from ssl_methods.settings_pages.write import pages

ROOT = Path(__file__).parents[2]


def test_the_how_to_says_what_an_error_says():
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    with pytest.raises(UserError) as refused:
        methods.create("mc_net", network=NetworkConfig(name="monai:SegResNet"))
    assert f"error: {refused.value}\n" in page


def test_the_second_optimiser_of_the_how_to():
    """The commands and the file of that page are followed in tests/workflow."""
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    _, fragment, _ = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {"torch": torch, "make_optimizer": make_optimizer}
    exec(fragment, names)
    method = SimpleNamespace(
        network=torch.nn.Linear(1, 1), judge=torch.nn.Linear(1, 1), loss=1, judge_loss=2
    )
    (first, loss), (second, judge_loss) = names["optimizers"](method, TrainingConfig())
    assert (isinstance(first, torch.optim.SGD), loss) == (True, 1)
    assert (isinstance(second, torch.optim.Adam), judge_loss) == (True, 2)


def test_the_methods_that_the_how_to_points_at_are_there():
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    table = page.partition("| see |")[2].partition("\n\n")[0]
    files = re.findall(r"`(\w+)\.py` \|$", table, re.M)
    assert len(files) > 8
    assert set(files) <= set(methods.names())


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "results/README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith(
                ("http", "../../actions/")
            ):  # the latter: of the repository's host
                assert (page.parent / target).exists(), f"{page.name}: {target}"


# ---- the README ----------------------------------------------------------------------------------


def test_every_method_stands_once_in_the_readme_with_its_papers():
    page = (ROOT / "README.md").read_text()
    table = page.partition("<!-- methods -->")[2].partition("<!-- /methods -->")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(packaged())
    for name in packaged():
        for paper in papers(name):
            assert re.search(rf"`{name}` \([^()]*{re.escape(paper.short)}", table)


def test_the_experiment_of_the_readme_is_one(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    path = tmp_path / "my_comparison.yaml"
    path.write_text(block)
    experiment = load_experiment(path)
    assert len(list(experiment.runs())) == 4 * 3 * 3
    for choice in experiment.methods.values():
        methods.check_choice(choice, str(path))


@pytest.mark.system
def test_the_method_of_the_readme_is_one(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "mirror.py").write_text(block)
    monkeypatch.setattr(methods.PLUGINS, "own", {})
    methods.register(tmp_path / "mirror.py")
    assert check_method("mirror"), capsys.readouterr().out


def test_the_picture_of_the_readme_is_small():
    (name,) = re.findall(r"!\[[^]]+\]\((docs/\S+)\)", (ROOT / "README.md").read_text())
    assert (ROOT / name).stat().st_size < 300_000
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    "name", ["left_atrium_small-all-methods", "left_atrium_small", "hippocampus"]
)
def test_the_numbers_of_the_results_are_those_of_the_showcase(name):
    page = (ROOT / "results/README.md").read_text()
    assert f"<!-- {name} -->" in page
    assert with_table(page, name, main_table(ROOT / "results/showcase" / name)) == page


GENERATED = pages(ROOT)


@pytest.mark.parametrize("path", list(GENERATED), ids=str)
def test_what_is_generated_is_not_stale(path):
    assert (ROOT / path).read_text() == GENERATED[path], "stale: run ssl-methods reference"


def test_the_metadata_say_what_the_citation_says():
    """Of persons too, whom the citation may name one day."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == ssl_methods.__version__
    for name in ("codemeta.json", ".zenodo.json"):
        assert json.loads((ROOT / name).read_text())["version"] == ssl_methods.__version__
    person = {"family-names": "Luo", "given-names": "Xiangde"}
    project = {"name": "n", "description": "d", "requires-python": ">=3", "keywords": []}
    (author,) = codemeta(cited | {"authors": [person]}, project)["author"]
    assert (author["type"], author["familyName"]) == ("Person", "Luo")
    assert zenodo(cited | {"authors": [person]}, project)["creators"] == [{"name": "Luo, Xiangde"}]


@pytest.mark.parametrize("path", [*ROOT.glob(".github/**/*.yml"), *ROOT.glob(".*.y*ml")], ids=str)
def test_what_hosts_and_tools_read_is_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_ci_runs_what_everybody_can_run():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_ladder_of_the_design_page_is_the_one_that_is_held():
    """Each line of the drawing names the modules of one layer."""
    page = (ROOT / "docs/explanation/design.md").read_text()
    drawing = page.partition("Imports go down only")[2].split("```")[1].strip()
    drawn = [re.split(r" {3,}", line)[0].split() for line in drawing.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(it["layers"] for it in contracts["contracts"] if it["type"] == "layers")
    held = [re.split(r"[:|]", layer.replace("ssl_methods.", "")) for layer in layers]
    assert drawn == [[name.strip() for name in layer] for layer in held]
