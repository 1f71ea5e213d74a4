"""An experiment whose test fold moves on with the subset, from measurements to the page."""

import numpy as np
import pandas as pd
import pytest
from support import simulated

from ssl_methods.reporting.report import report

pytestmark = pytest.mark.system  # whole reports

FOLDS, SIZE, SUBSETS = simulated.FOLDS, 20, 6


@pytest.fixture(scope="module")
def rotated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    declared = simulated.collected(
        folder, methods=["supervised", "mean_teacher", "dtc"], budgets=[4, 16], subsets=SUBSETS,
        test="rotated", test_cases=SIZE, failures=False,
    )  # fmt: skip
    return declared, folder, folder / declared.name / "tables"


def read(tables, name):
    return pd.read_csv(tables / f"{name}.csv", dtype={"budget": str})


def test_means_and_differences_are_of_every_fold(rotated):
    _, _, tables = rotated
    cases = read(tables, "cases")
    assert cases["case"].nunique() == FOLDS * SIZE
    by_run = cases.groupby(["method", "budget", "subset"])["dice"].mean()
    summary = read(tables, "summary").set_index(["method", "budget"])
    for key, row in summary.iterrows():
        assert row["dice"] == pytest.approx(by_run[key].mean())
        assert row["dice_low"] < row["dice"] < row["dice_high"]
    found = read(tables, "comparisons")
    found = found[(found["pair"] == "baseline") & (found["metric"] == "dice")]
    assert set(found["cases"]) == {FOLDS * SIZE} and set(found["subsets"]) == {SUBSETS}
    for _, row in found.iterrows():
        gain = by_run[row["method"], row["budget"]] - by_run["supervised", row["budget"]]
        assert row["difference"] == pytest.approx(gain.mean(), abs=1e-6)
    assert list(found.loc[found["method"] == "dtc", "verdict"]) == ["better", "better"]


def test_ranks_variance_and_the_page_are_made(rotated):
    declared, folder, tables = rotated
    ranks = read(tables, "ranks")
    first = ranks[(ranks["metric"] == "dice") & (ranks["rank"] == 1)]
    assert set(first["method"]) == {"dtc"} and np.isfinite(ranks["mean"]).all()
    variance = read(tables, "variance")
    assert variance["mean"].notna().all()
    text = report(declared, folder).read_text()
    assert "a fold of them for each labeled subset" in text
