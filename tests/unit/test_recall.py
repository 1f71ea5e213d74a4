"""What is written into Snakemake's memory: what results rest on, and what of them was deleted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.tiny import TINY

from ssl_methods import memory, rests_on
from ssl_methods.analysis.collect import collect
from ssl_methods.data.splits import load_split, split_name
from ssl_methods.data.store import Store
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.grid import Grid
from ssl_methods.training.train import train

DECLARED = TINY | {"methods": ["supervised"]}
RUN = "results/tiny/runs/supervised/labeled-2/subset-0/seed-0"
JOBS = ["prepare", "split", "train", "evaluate", "collect", "report"]


@pytest.fixture(scope="module")
def whole(prepared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of one run, its tables and, for a report, what stands for one."""
    folder = tmp_path_factory.mktemp("whole")
    results = shutil.copytree(prepared_results, folder / "results")
    experiment = Grid.of(DECLARED, results).experiment
    (run,) = experiment.runs()
    store = Store.open(next(results.glob("prepared/*/manifest.json")).parent)
    split = results / run.experiment / "splits" / split_name(run.budget, run.subset)
    load_split(run, store, results).write(split)
    train(run, results, results / run.folder)
    evaluate(results / run.folder, results, declared=run)
    collect(experiment, results)
    for name in ("figures/a.png", "figures/b.png", "report.html"):
        (results / "tiny" / name).parent.mkdir(exist_ok=True)
        (results / "tiny" / name).write_text(name)
    rests_on.record_tables(experiment, results)
    rests_on.record_report(experiment, results)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that is the working directory, without Snakemake's memory."""
    shutil.copytree(whole / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def to_make(given: dict = DECLARED) -> set[str]:
    """The rules of which a job's outputs are not there, or rest on something else than declared."""
    written: dict[str, str] = {}

    class Blank(memory.Memory):
        def has(self, file: str) -> bool:
            return file in written

        def write(
            self, rule: str, outputs: Sequence[str], inputs: Sequence[str], text: str
        ) -> None:
            written.update(dict.fromkeys(outputs, text))

    grid = Grid.of(given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "Memory", Blank)
        memory.recall(grid)
    (run,) = grid.runs
    outputs = {
        "prepare": [grid.manifest],
        "split": grid.of_every_split(),
        "train": [f"{run}/run.yaml", f"{run}/model.pt"],
        "evaluate": [f"{run}/cases.csv"],
        "collect": grid.tables,
        "report": [grid.report],
    }
    return {
        rule
        for rule in JOBS
        for file in outputs[rule]
        if not Path(file).exists() or written[file] != grid.rests_on(rule, run)
    }


def test_of_whole_results_nothing_is_to_be_made(folder: Path):
    assert to_make() == set()


@pytest.mark.parametrize(
    ("deleted", "made_again"),
    [
        ("results/tiny/report.html", {"report"}),
        ("results/tiny/reported.yaml", {"report"}),
        ("results/tiny/figures", {"report"}),
        ("results/tiny/figures/*.png", {"report"}),
        ("results/tiny/tables/summary.tex", {"collect"}),
        ("results/tiny/tables/audits.md", {"collect"}),
        ("results/tiny/tables/ranks.csv", {"collect", "report"}),  # the page was of other tables
        ("results/tiny/tables", {"collect", "report"}),
        ("results/tiny/splits", {"split"}),
        (f"{RUN}/slices.npz", {"evaluate"}),
        (f"{RUN}/measured.yaml", {"evaluate"}),
        (f"{RUN}/cases.csv", {"evaluate", "collect"}),
        (f"{RUN}/run.yaml", {"train"}),
        (RUN, {"train", "evaluate", "collect"}),
    ],
)
def test_what_is_deleted_is_made_again(folder: Path, deleted: str, made_again: set[str]):
    found = list(folder.glob(deleted))
    assert found
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert to_make() == made_again


@pytest.mark.parametrize(
    ("change", "made_again"),
    [
        ({"description": "x"}, {"collect", "report"}),
        ({"evaluation": {"nsd_tolerance_mm": 2}}, {"evaluate", "collect", "report"}),
        ({"network": {"width": 4, "levels": 2}}, {"train", "evaluate", "collect", "report"}),
        ({"validation_cases": 1}, {"split", "train", "evaluate", "collect", "report"}),
    ],
)
def test_what_rests_on_other_settings_is_made_again(
    folder: Path, change: dict, made_again: set[str]
):
    assert to_make(DECLARED | change) == made_again
    assert to_make() == set()


@pytest.mark.parametrize("gone", ["history.csv", "cost.json", "provenance.json"])
def test_what_only_training_brings_back_is_said(
    folder: Path, gone: str, capsys: pytest.CaptureFixture[str]
):
    (folder / RUN / gone).unlink()
    assert to_make() == set()
    assert f"{RUN}/{gone}: is gone, and only training brings it back" in capsys.readouterr().err
