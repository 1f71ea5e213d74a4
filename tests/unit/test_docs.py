"""The documentation does what it says."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import make_optimizer
from ssl_methods.reporting.showcase import main_table, with_table
from ssl_methods.settings_pages.pages import PAGES

ROOT = Path(__file__).parents[2]


def test_the_how_to_says_what_an_error_says():
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    with pytest.raises(UserError) as refused:
        methods.create("mc_net", network=NetworkConfig(name="monai:SegResNet"))
    assert f"error: {refused.value}\n" in page


def test_the_second_optimiser_of_the_how_to():
    """The commands and the file of that page are followed in tests/workflow."""
    page = (ROOT / "docs/how-to/add-a-method.md").read_text()
    _, fragment = re.findall(r"```python\n(.*?)```", page, re.S)
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
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "name", ["left_atrium_small-all-methods", "left_atrium_small", "hippocampus"]
)
def test_the_numbers_of_the_readme_are_those_of_the_showcase(name):
    page = (ROOT / "README.md").read_text()
    assert f"<!-- {name} -->" in page
    assert with_table(page, name, main_table(ROOT / "results/showcase" / name)) == page


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_not_stale(name):
    page = ROOT / "docs/reference" / name
    assert page.read_text() == PAGES[name](), "stale: run ssl-methods reference"
