"""A report over damaged records: the page is there, without them, and says so."""

import logging

import numpy as np
import pandas as pd
import pytest
from support import simulated
from support.page import Page

from ssl_methods.analysis.collect import collect
from ssl_methods.config import budget_text
from ssl_methods.errors import UserError
from ssl_methods.reporting.overlays import overlay_caption
from ssl_methods.reporting.report import collapsed, report
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.showcase import showcase
from ssl_methods.reporting.stacks import stacks

pytestmark = pytest.mark.system  # whole reports


def test_the_page_is_written_without_what_is_damaged_and_names_it(tmp_path, caplog):
    declared = simulated.collected(
        tmp_path, methods=["supervised", "dtc", "mean_teacher"], budgets=[4], subsets=1,
        test_cases=3,
    )  # fmt: skip
    folder = {run.name: tmp_path / run.folder for run in declared.runs()}
    with np.load(folder["mean_teacher"] / "slices.npz") as arrays:
        smaller = {
            name: array[:, :-1] if array.ndim == 3 else array for name, array in arrays.items()
        }
    damages = {
        folder["dtc"] / "slices.npz": (folder["dtc"] / "slices.npz").read_bytes()[:2000],
        folder["dtc"] / "history.csv": b"iteration,loss\n10,x\n",
        folder["supervised"] / "history.csv": b"",
        folder["dtc"] / "provenance.json": b'{"versions": "torch"}',
        folder["mean_teacher"] / "provenance.json": b"\xff",
        folder["dtc"] / "run.yaml": b"[",
        tmp_path / "simulated/tables/comparisons.csv": b"pair\n",
        tmp_path / "simulated/tables/claims.csv": b"\0",
        tmp_path / "simulated/tables/audits.csv": b"",
    }
    for path, content in damages.items():
        path.write_bytes(content)
    np.savez(folder["mean_teacher"] / "slices.npz", **smaller)
    with caplog.at_level(logging.WARNING):
        text = report(declared, tmp_path).read_text()
    Page(text)
    warnings = [line for line in text.splitlines() if "Left out, since it cannot be read" in line]
    for path in (*damages, folder["mean_teacher"] / "slices.npz"):
        assert sum(str(path) in line for line in warnings) == 1, path
        assert str(path) in caplog.text
    assert len(warnings) == len(damages) + 1
    assert 'id="overlays"' in text and 'id="claims"' not in text


@pytest.mark.parametrize("name", ["cases", "runs", "summary"])
def test_without_the_main_tables_the_verb_to_run_is_named(name, tmp_path):
    declared = simulated.collected(tmp_path, methods=["dtc"], budgets=[4], subsets=1, test_cases=2)
    path = tmp_path / f"simulated/tables/{name}.csv"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{name}\.csv: is not as 'collect' wrote it; run 'coll"):
        report(declared, tmp_path)


def test_a_showcase_stays_if_the_results_are_damaged(tmp_path):
    declared = simulated.collected(tmp_path, methods=["dtc"], budgets=[4], subsets=1, test_cases=2)
    (tmp_path / "e.yaml").write_text(
        "name: simulated\ndataset: {name: blobs, importer: phantom}\nmethods: [dtc]\nbudgets: [4]\n"
        "subsets: 1\ntraining: {iterations: 600, patch_size: [32, 32, 32]}\n"
    )
    kept = tmp_path / "showcase/simulated/README.md"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept")
    figures = tmp_path / "simulated/figures"
    figures.mkdir(exist_ok=True)
    (figures / "x.png").write_bytes(b"\x89PNG and no more")
    with pytest.raises(UserError, match=r"x\.png: is no picture .* run 'report' again"):
        showcase(tmp_path / "e.yaml", tmp_path, tmp_path / "README.md")
    (figures / "x.png").unlink()
    (tmp_path / next(declared.runs()).folder / "provenance.json").write_text("[]")
    with pytest.raises(UserError, match=r"provenance\.json"):
        showcase(tmp_path / "e.yaml", tmp_path, tmp_path / "README.md")
    assert kept.read_text() == "kept"


# ---- what is shown of the runs -------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_collapsed(tmp_path_factory):
    """Of dtc the run of subset 0 predicts nothing; of supervised that of subset 2."""
    results = tmp_path_factory.mktemp("results")
    declared = simulated.experiment(methods=["supervised", "dtc", "empty"], budgets=[4])
    simulated.write_results(declared, results, test_cases=4, failures=False)
    for run in declared.runs():
        if (run.name, run.subset) in (("dtc", 0), ("supervised", 2)):
            path = results / run.folder / "cases.csv"
            cases = pd.read_csv(path)
            cases.loc[:2, ["dice", "jaccard"]] = 0.0
            cases.loc[:2, "empty_prediction"] = True
            cases.to_csv(path, index=False)
    collect(declared, results)
    return Results(declared, results)


def test_a_collapsed_run_is_named_and_a_control_is_none(with_collapsed):
    assert collapsed(with_collapsed) == [
        "Supervised at budget 4, subset 2, seed 0 (3 of 4)",
        "DTC at budget 4, subset 0, seed 0 (3 of 4)",
    ]


def test_pictures_are_of_the_run_with_the_median_result(with_collapsed):
    found = with_collapsed
    for run in found.overlay_runs:
        dice = {
            other.subset: found.measured[
                found.measured["method"].eq(other.name) & found.measured["subset"].eq(other.subset)
            ]["dice"].mean()
            for other in found.done
            if other.name == run.name
        }
        assert dice[run.subset] == np.median(list(dice.values()))
        assert budget_text(run.budget) == "4"
    chosen = {run.name: run.subset for run in found.overlay_runs}
    assert chosen["dtc"] != 0 and chosen["supervised"] != 2
    caption = overlay_caption(found)
    assert "the run with the median Dice at budget 4" in caption
    assert caption.endswith("subset 1, seed 0.") and set(chosen.values()) == {1}
    panel = stacks(found)[0].leaves[0].panels[1]
    own = found.measured
    own = own[own["method"].eq("dtc") & own["subset"].eq(chosen["dtc"])]
    assert panel.dice == f"{own.set_index('case')['dice']['case_000'] * 100:.1f}"


def test_of_two_runs_the_better_is_shown(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised"], budgets=[4], subsets=2, test_cases=4
    )
    (run,) = Results(declared, tmp_path).overlay_runs
    assert run.subset == 1  # in subset 0 a prediction is empty


def test_differences_stay_within_what_is_possible(tmp_path):
    """Two subsets, one collapsed: an interval by t alone would be hundreds of points wide."""
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=2)
    simulated.write_results(declared, tmp_path, test_cases=6)
    for run in declared.runs():
        if (run.name, run.subset) == ("dtc", 0):
            path = tmp_path / run.folder / "cases.csv"
            pd.read_csv(path).assign(dice=0.0, jaccard=0.0).to_csv(path, index=False)
    collect(declared, tmp_path)
    rows = pd.read_csv(tmp_path / "simulated/tables/comparisons.csv")
    rows = rows[rows["metric"].isin(["dice", "jaccard"])]
    assert -1 < rows["low"].min() < -0.7 and rows["high"].max() < 1
