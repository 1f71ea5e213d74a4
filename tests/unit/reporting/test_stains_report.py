"""What stain normalisation does: the table against numbers known beforehand, and its figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssl_methods.analysis.stains import laboratory, shown_stains, stain_effect
from ssl_methods.config import load_experiment
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError
from ssl_methods.files import write_yaml
from ssl_methods.reporting.stain_figures import dice_by_laboratory
from ssl_methods.reporting.stains import by_stain, compare_stains, training_of

LABORATORIES = {"A": 0.9, "D": 0.4}


def measured(gain: float, methods: tuple[str, ...] = ("supervised", "dtc")) -> pd.DataFrame:
    """Dice of two methods, three subsets and four tiles of each laboratory, ``gain`` added in D."""
    random = np.random.default_rng(0)
    rows = [
        {
            "dataset": "he", "method": method, "role": "method", "recipe": "unified",
            "budget": "4", "labeled": 4, "unlabeled": 9, "subset": subset, "seed": 0,
            "case": f"{place}-test-{tile}", "class": "gland",
            "dice": dice + (place == "D") * gain + random.normal(0, 0.02),
            "empty_prediction": False, "empty_reference": False,
        }
        for method in methods
        for subset in range(3)
        for place, dice in LABORATORIES.items()
        for tile in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_paired_difference_is_what_was_put_in():
    table = stain_effect({"none": measured(0), "macenko": measured(0.3), "reinhard": measured(0)})
    found = table.set_index(["method", "laboratory", "stain"])
    for method in ("supervised", "dtc"):
        own = found.loc[method]
        assert own.loc[("D", "macenko"), "difference"] == pytest.approx(0.3)
        assert own.loc[("A", "macenko"), "difference"] == pytest.approx(0)
        assert own.loc[("all", "macenko"), "difference"] == pytest.approx(0.15)
        assert own.loc[("D", "macenko"), "difference_low"] > 0.29  # paired: the noise is the same
        assert own.loc[("D", "reinhard"), "difference"] == pytest.approx(0)
        assert np.isnan(own.loc[("D", "none"), "difference"])
    of_d = measured(0)[lambda rows: (rows["case"].str[0] == "D") & (rows["method"] == "dtc")]
    assert found.loc[("dtc", "D", "none"), "dice"] == pytest.approx(of_d["dice"].mean())
    assert (table["dice_low"] <= table["dice"]).all() and (
        table["dice"] <= table["dice_high"]
    ).all()
    assert found.loc[("dtc", "all", "none"), "cases"] == 8


def test_without_raw_colours_there_is_no_difference():
    table = stain_effect({"macenko": measured(0.3)})
    assert table["difference"].isna().all() and not table["dice"].isna().any()
    assert (shown_stains(table)["Difference"] == "").all()


def test_a_missing_run_leaves_its_pair_out():
    short = measured(0.3)[lambda rows: rows["subset"] < 2]
    table = stain_effect({"none": measured(0), "macenko": short})
    own = table[(table["stain"] == "macenko") & (table["laboratory"] == "D")]
    assert own["runs"].eq(2).all() and own["difference"].round(9).eq(0.3).all()


def test_the_laboratory_is_what_stands_before_the_dash():
    assert [laboratory(case) for case in ("A-test-0001", "slide7-t3", "alone")] == [
        "A", "slide7", "alone",
    ]  # fmt: skip


def test_the_figure_shows_every_mean_and_interval():
    table = stain_effect({"none": measured(0), "macenko": measured(0.3)})
    figure = dice_by_laboratory(table, {"A": "labeled", "D": "unseen", "all": ""})
    shown = [
        line.get_ydata() for axis in figure.axes for line in axis.lines if len(line.get_ydata())
    ]
    assert sorted(np.concatenate(shown)) == pytest.approx(sorted(table["dice"] * 100))


def test_the_figure_names_a_kind_once_below_its_laboratories():
    table = stain_effect({"none": measured(0), "macenko": measured(0.3)})
    for kinds, expected in (
        ({"A": "labeled", "D": "unseen"}, {0: "labeled", 1: "unseen"}),
        ({"A": "unseen", "D": "unseen"}, {0.5: "unseen"}),
    ):
        axis = dice_by_laboratory(table, kinds).axes[0]
        assert [text.get_text() for text in axis.get_xticklabels()] == ["A", "D", "all"]
        below = axis.get_xticklabels(minor=True)
        places = axis.get_xticks(minor=True)
        found = {x: t.get_text() for x, t in zip(places, below, strict=True) if t.get_text()}
        assert found == expected


# ---- from results --------------------------------------------------------------------------------


def results_of(tmp_path, name: str, stain: str, **changes: object) -> None:
    settings = {
        "name": name,
        "dataset": {
            "name": "he", "importer": "phantom_histology", "shape": [32, 32], "train_cases": 1,
            "test_cases": 1, "stain": stain,
        },
        "methods": ["supervised", "dtc"], "budgets": [1], "subsets": 3,
        "training": {"patch_size": [32, 32]},
    } | changes  # fmt: skip
    write_yaml(tmp_path / name / "experiment.yaml", settings)
    prepare(load_experiment(settings).dataset, tmp_path)
    (tmp_path / name / "tables").mkdir()
    measured(0.2 * (stain != "none")).to_csv(tmp_path / name / "tables" / "cases.csv", index=False)


def test_the_figures_are_drawn_from_results(tmp_path):
    pytest.importorskip("torchstain", reason="stain normalisation needs torchstain")
    for name, stain in (("raw", "none"), ("mac", "macenko"), ("rein", "reinhard")):
        results_of(tmp_path, name, stain)
    folder = compare_stains(["raw", "mac", "rein"], tmp_path)
    assert folder == tmp_path / "raw"
    for path in ("tables/stains.csv", "tables/stains.md", "tables/stains.tex",
                 "figures/stain_dice.pdf", "figures/stain_tiles.png"):  # fmt: skip
        assert (folder / path).stat().st_size > 100, path
    experiment = load_experiment(tmp_path / "mac" / "experiment.yaml")
    store = Store.open(prepare(experiment.dataset, tmp_path))
    assert training_of(store) == {
        "A": "labeled", "B": "unlabeled", "C": "unlabeled", "D": "unseen", "E": "unseen", "all": "",
    }  # fmt: skip


def test_experiments_that_differ_in_more_than_the_stain_are_refused(tmp_path):
    results_of(tmp_path, "raw", "none")
    results_of(tmp_path, "mac", "reinhard", training={"patch_size": [32, 32], "iterations": 7})
    with pytest.raises(UserError, match="differs from raw in more than the stain: training"):
        by_stain(["raw", "mac"], tmp_path)
    with pytest.raises(UserError, match="same stain"):
        by_stain(["raw", "raw"], tmp_path)
