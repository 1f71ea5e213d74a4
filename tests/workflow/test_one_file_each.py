"""A table, a figure, a metric, an importer and a method, each added by its page in one new file."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from support.harness import PROJECT, TINY, Workflow, new_workflow

from ssl_methods.config import IMPORTERS, load_experiment
from ssl_methods.measures import METRICS
from ssl_methods.methods.registry import PLUGINS, describe
from ssl_methods.settings_pages.pages import settings_page
from ssl_methods.settings_pages.schema import experiment_schema

pytestmark = [pytest.mark.workflow, pytest.mark.system]

METRIC = "surface_dice_2mm"
FILES = {
    "hardest_case.py": "add-a-question.md",
    "failures.py": "add-a-figure.md",
    "surface_dice_2mm.py": "add-a-metric.md",
    "arrays.py": "use-your-own-scans.md",
    "pseudo_label.py": "add-a-method.md",
}
DECLARED = TINY | {
    "name": "mine",
    "dataset": {
        "name": "my_arrays", "importer": "arrays.py", "path": "arrays", "voxel_mm": 0.8,
        "test_cases": 2,
    },
    "methods": {"supervised": {}, "pseudo_label": {"module": "pseudo_label.py"}, "empty": {}},
    "training": TINY["training"] | {"iterations": 4},
    "questions": ["hardest_case.py"],
    "figures": ["failures.py"],
    "evaluation": {"metrics": ["surface_dice_2mm.py"]},
    "primary": METRIC,
}  # fmt: skip


def balls(folder: Path) -> None:
    """Six noisy cubes, each with a bright ball and its label."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    axes = np.indices((20, 20, 20))
    for number in range(6):
        centre = rng.uniform(7, 12, 3)[:, None, None, None]
        ball = ((axes - centre) ** 2).sum(axis=0) < 30
        np.save(folder / f"case{number}.npy", ball + rng.normal(0, 0.2, ball.shape))
        np.save(folder / f"case{number}-truth.npy", ball.astype(np.uint8))


def contents(project: Path) -> dict[str, bytes]:
    return {
        str(it): it.read_bytes()
        for it in project.rglob("*")
        if it.suffix != ".pyc" and it.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The experiment that names the five files, from scans to its report and Snakemake's own."""
    workflow = new_workflow(tmp_path_factory.mktemp("five"))
    for name, page in FILES.items():
        text = (PROJECT / "docs/how-to" / page).read_text().partition(f"`{name}`")[2]
        program = re.findall(r"```python\n(.*?)```", text, re.S)[0]
        (workflow.folder / name).write_text(program)
    balls(workflow.folder / "arrays")
    before = contents(workflow.project)
    for target in ((), ("--report", "jobs.html")):
        done = workflow.snakemake(*target, experiment=DECLARED)
        assert done.returncode == 0, done.stdout
    assert contents(workflow.project) == before
    return workflow


def test_each_is_in_the_tables(made):
    tables = made.folder / "results/mine/tables"
    assert {*pd.read_csv(tables / "hardest_case.csv")["method"]} >= {"supervised", "pseudo_label"}
    metric = pd.read_csv(tables / "cases.csv")[METRIC]
    assert metric.between(0, 1).all() and metric.nunique() > 1
    summary = pd.read_csv(tables / "summary.csv", index_col="method")
    assert summary.loc["empty", METRIC] == 0
    comparisons = pd.read_csv(tables / "comparisons.csv")
    judged = comparisons[(comparisons["pair"] == "baseline") & comparisons["p_value"].notna()]
    assert judged[["method", "metric"]].to_numpy().tolist() == [["pseudo_label", METRIC]]
    orders = pd.read_csv(tables / "agreement.csv")
    assert METRIC in {*orders["first"], *orders["second"]}


@pytest.mark.parametrize(
    "table, words",
    [
        ("hardest_case", ["pseudo"]),
        ("summary", [r"NSD 2 mm \%", "pseudo"]),
        ("comparisons", [r"NSD 2 mm \%", "pseudo"]),
    ],
)
def test_each_is_in_latex(made, table, words):
    text = (made.folder / f"results/mine/tables/{table}.tex").read_text()
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("archive", [False, True])
def test_each_is_on_the_page_and_in_snakemake_s_report(made, archive):
    text = (made.folder / "results/mine/report.html").read_text()
    if archive:
        jobs = (made.folder / "jobs.html").read_text()
        (packed,) = re.findall(r"data:text/html[^,]*;base64,([A-Za-z0-9+/=]+)", jobs)
        text = base64.b64decode(packed).decode()
    for words in (
        "The hardest case of each method",  # the table
        "Empty predictions of each method, over all budgets.",  # the figure
        "NSD 2 mm %", "Judged by NSD 2 mm alone", "Dice, Jaccard, ASD, 95HD",  # the metric
        "my_arrays",  # what the importer read
        "pseudo_label",  # the method
    ):  # fmt: skip
        assert words in text
    assert (made.folder / "results/mine/figures/failures.pdf").is_file()


def test_each_is_in_the_schema_and_the_lists_of_settings(made, monkeypatch):
    monkeypatch.chdir(made.folder)
    for plugins in (IMPORTERS, METRICS, PLUGINS):
        monkeypatch.setattr(plugins, "own", {})
    declared = yaml.safe_load(Path("declared.yaml").read_text())
    load_experiment(declared)
    PLUGINS.register(Path("pseudo_label.py"))
    schema = experiment_schema()
    jsonschema.validate(declared, schema)
    assert "voxel_mm" in str(schema) and "side of a voxel, in mm" in settings_page()
    (method,) = (it for it in describe() if it["name"] == "pseudo_label")
    assert "confidence" in method["settings"]
