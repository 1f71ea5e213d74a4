"""Two experiments that differ in one setting: the table against numbers known beforehand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssl_methods.analysis.compare import (
    ALL,
    Setting,
    comparison,
    differing,
    group_of,
    shown_comparison,
)
from ssl_methods.analysis.pairing import paired_difference
from ssl_methods.cli import main
from ssl_methods.config import load_experiment
from ssl_methods.data.prepare import prepare
from ssl_methods.errors import UserError
from ssl_methods.files import write_yaml
from ssl_methods.reporting.compare import compare, difference_figure

PLACES = {"A": 0.9, "D": 0.4}
STAIN = Setting("dataset.stain", "none", "macenko")


def measured(gain: float, methods: tuple[str, ...] = ("supervised", "dtc")) -> pd.DataFrame:
    """Dice of two methods, three subsets and four tiles of each laboratory, ``gain`` added in D."""
    random = np.random.default_rng(0)
    rows = [
        {
            "dataset": "he", "method": method, "role": "method", "recipe": "unified",
            "budget": "4", "labeled": 4, "unlabeled": 9, "subset": subset, "seed": 0,
            "case": f"{place}-test-{tile}", "class": "gland",
            "dice": dice + (place == "D") * gain + random.normal(0, 0.02), "hd95_voxel": 9.0 + gain,
            "empty_prediction": False, "empty_reference": False,
        }
        for method in methods
        for subset in range(3)
        for place, dice in PLACES.items()
        for tile in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def of_dice(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["metric"] == "dice"].set_index(["method", "group"])


def test_the_paired_difference_is_what_was_put_in():
    table = comparison(STAIN, measured(0), measured(0.3), groups=True)
    found = of_dice(table)
    for method in ("supervised", "dtc"):
        assert found.loc[(method, "D"), "difference"] == pytest.approx(0.3)
        assert found.loc[(method, "A"), "difference"] == pytest.approx(0)
        assert found.loc[(method, ALL), "difference"] == pytest.approx(0.15)
        assert found.loc[(method, "D"), "low"] > 0.29  # paired: the noise is the same
    own = measured(0)[lambda rows: rows["method"] == "dtc"]
    assert found.loc[("dtc", ALL), "first"] == pytest.approx(own["dice"].mean())
    assert found.loc[("dtc", ALL), ["runs", "subsets", "cases"]].tolist() == [3, 3, 8]
    distances = table[table["metric"] == "hd95_voxel"]
    assert distances["difference"].round(9).eq(0.3).all()
    assert set(comparison(STAIN, measured(0), measured(0.3))["group"]) == {ALL}


def test_pairs_are_of_the_same_run_whatever_the_order_of_the_rows():
    mixed = measured(0.3).sample(frac=1, random_state=0)
    expected = comparison(STAIN, measured(0), measured(0.3))
    pd.testing.assert_frame_equal(comparison(STAIN, measured(0), mixed), expected)


def test_of_several_classes_their_mean_is_compared():
    def of_classes(gain: float) -> pd.DataFrame:
        both = [measured(it).assign(**{"class": name}) for name, it in (("a", 0.0), ("b", gain))]
        random = np.random.default_rng(1)
        cases = pd.concat(both, ignore_index=True).assign(failure=0)
        return cases.assign(assd_mm=random.uniform(1, 2, len(cases)))

    found = of_dice(comparison(STAIN, of_classes(0.0), of_classes(0.3), groups=True))
    assert found.loc[("dtc", "D"), "difference"] == pytest.approx(0.15)
    assert (found.loc[("dtc", "D"), "cases"], found.loc[("dtc", "D"), "runs"]) == (4, 3)


def test_a_run_without_a_counterpart_is_left_out():
    short = measured(0.3)[lambda rows: (rows["subset"] < 2) | (rows["method"] == "dtc")]
    found = of_dice(comparison(STAIN, measured(0), short, groups=True))
    assert found["runs"].to_dict()[("supervised", "D")] == 2
    assert found["runs"].to_dict()[("dtc", "D")] == 3
    assert found.loc[("supervised", "D"), "difference"] == pytest.approx(0.3)
    with pytest.raises(UserError, match="no run and test case in common"):
        comparison(STAIN, measured(0), measured(0, methods=("cps",)))


def test_the_interval_is_as_wide_as_that_of_paired_means():
    """Many subsets, one case: the t interval of the differences of subsets."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"subset": range(60), "seed": 0, "case": "a",
                         "one": random.normal(0.5, 0.1, 60)})  # fmt: skip
    rows["two"] = rows["one"] + random.normal(0.05, 0.02, 60)
    found = paired_difference(rows, "one", "two", "dice", 2.0)
    gaps = rows["two"] - rows["one"]
    low, high = stats.ttest_1samp(gaps, 0).confidence_interval()
    assert found.difference.mean == pytest.approx(gaps.mean())
    assert found.difference.low == pytest.approx(low, abs=2e-3)
    assert found.difference.high == pytest.approx(high, abs=2e-3)


def test_it_is_shown_in_percent_with_the_values_of_the_setting_as_headings():
    shown = shown_comparison(comparison(STAIN, measured(0), measured(0.3), groups=True))
    row = shown[(shown["Method"] == "DTC") & (shown["Cases"] == "D")].iloc[0]
    assert row["Metric"] == "Dice %" and row["Difference"].startswith("+30.0 [")
    assert float(row["macenko"]) - float(row["none"]) == pytest.approx(30, abs=0.11)
    assert "Cases" not in shown_comparison(comparison(STAIN, measured(0), measured(0.3)))


def test_the_figure_shows_every_difference():
    table = comparison(STAIN, measured(0), measured(0.3), groups=True)
    figure = difference_figure(table, "stain")
    drawn = [
        float(line.get_xdata()[0])
        for axis in figure.axes
        for line in axis.lines
        if len(line.get_xdata()) == 1
    ]
    assert sorted(drawn) == pytest.approx(sorted(of_dice(table)["difference"] * 100))


# ---- which setting differs -----------------------------------------------------------------------


def declared(name: str, **changes: object):
    settings = {
        "name": name, "dataset": {"name": "he", "importer": "phantom_histology"},
        "methods": ["supervised", "dtc"], "budgets": [1], "subsets": 3,
        "training": {"patch_size": [32, 32]},
    } | changes  # fmt: skip
    return load_experiment(settings)


HE = {"name": "he", "importer": "phantom_histology"}
PATCH = {"patch_size": [32, 32]}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"dataset": HE | {"stain": "macenko"}}, ("dataset.stain", "none", "macenko")),
        ({"dataset": HE | {"stain": "macenko", "stain_reference": "A-1"}},
         ("dataset.stain", "none", "macenko")),
        ({"dataset": HE | {"crop": "label", "crop_margin_mm": 3}},
         ("dataset.crop", "none", "label")),
        ({"dataset": HE | {"crop_margin_mm": 3}}, ("dataset.crop_margin_mm", "10.0", "3.0")),
        ({"training": PATCH | {"precision": "float32", "device": "cpu", "runs_per_gpu": 2}},
         ("training.precision", "auto", "float32")),
        ({"training": PATCH | {"optimizer": "adam"}}, ("training.optimizer", "sgd", "adam")),
        ({"training": PATCH | {"optimizer": "adam"}, "evaluation": {"metrics": ["another"]}},
         ("training.optimizer", "sgd", "adam")),
        ({"methods": {"supervised": {}, "dtc": {"k": 100}}},
         ("methods.dtc.k", "default", "100")),
        ({"recipe": "as_released"}, ("recipe", "unified", "as_released")),
        ({"validation_cases": 2, "seeds": 2, "budgets": [1, 2], "description": "x"},
         ("validation_cases", "0", "2")),
    ],
)  # fmt: skip
def test_the_setting_that_differs_is_named(changes, setting):
    assert differing(declared("one"), declared("two", **changes)) == Setting(*setting)


def test_more_than_one_is_an_error_that_lists_them():
    other = declared("two", training=PATCH | {"iterations": 7}, dataset=HE | {"crop": "nonzero"})
    with pytest.raises(UserError) as refused:
        differing(declared("one"), other)
    said = str(refused.value)
    assert "one and two: differ in 2 settings" in said and "\n" not in said
    assert "training.iterations: 6000 / 7" in said and "dataset.crop: none / nonzero" in said
    with pytest.raises(UserError, match="one and two: no setting differs"):
        differing(declared("one"), declared("two"))


def test_the_group_is_what_stands_before_the_dash():
    assert [group_of(case) for case in ("A-test-0001", "slide7-t3", "alone")] == [
        "A", "slide7", "alone",
    ]  # fmt: skip


# ---- from results --------------------------------------------------------------------------------


def results_of(folder: Path, name: str, stain: str, **changes: object) -> Path:
    dataset = HE | {"shape": [32, 32], "train_cases": 1, "test_cases": 1, "stain": stain}
    experiment = declared(name, dataset=dataset, **changes)
    write_yaml(folder / name / "experiment.yaml", experiment.model_dump(mode="json"))
    (folder / name / "tables").mkdir()
    measured(0.2 * (stain != "none")).to_csv(folder / name / "tables" / "cases.csv", index=False)
    return folder / name / "experiment.yaml"


def test_the_verb_writes_tables_and_a_figure(tmp_path, capsys):
    first, second = results_of(tmp_path, "raw", "none"), results_of(tmp_path, "mac", "macenko")
    assert main(["compare", str(first), str(second), "--groups", "--results", str(tmp_path)]) == 0
    folder = tmp_path / "raw/compared/mac"
    assert capsys.readouterr().out.strip() == str(folder)
    for end in ("csv", "md", "tex", "pdf", "png"):
        assert (folder / f"compared.{end}").stat().st_size > 100, end
    text = (folder / "compared.md").read_text()
    assert "raw with dataset.stain none, mac with macenko; no other setting differs" in text
    before = {path.name: path.read_bytes() for path in folder.glob("compared.*")}
    compare(first, second, tmp_path, groups=True)
    assert before == {path.name: path.read_bytes() for path in folder.glob("compared.*")}


def test_what_cannot_be_compared_is_said_in_one_line(tmp_path, capsys):
    first = results_of(tmp_path, "raw", "none")
    second = results_of(tmp_path, "mac", "macenko", training=PATCH | {"iterations": 7})
    for pair, said in (
        ((first, second), "differ in 2 settings"),
        ((first, first), "are the same experiment, raw"),
    ):
        assert main(["compare", *map(str, pair), "--results", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1
    third = results_of(tmp_path, "rein", "reinhard")
    (tmp_path / "rein/tables/cases.csv").unlink()
    assert main(["compare", str(first), str(third), "--results", str(tmp_path)]) == 2
    assert "no tables yet; run 'collect' for rein first" in capsys.readouterr().err


@pytest.mark.system
def test_the_example_draws_tiles_of_every_laboratory(tmp_path):
    pytest.importorskip("torchstain", reason="stain normalisation needs torchstain")
    files = [results_of(tmp_path, "raw", "none"), results_of(tmp_path, "mac", "macenko")]
    for file in files:
        prepare(load_experiment(file).dataset, tmp_path)
    path = Path(__file__).parents[2] / "examples/stain_tiles.py"
    spec = importlib.util.spec_from_file_location("stain_tiles", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert (example.draw(files, tmp_path) / "stain_tiles.png").stat().st_size > 1000
