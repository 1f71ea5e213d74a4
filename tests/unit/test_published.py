"""Published results: the values as printed, the match with our runs, and each verdict."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from ssl_methods.analysis.published import (
    DAGGER,
    load_published,
    published_note,
    published_table,
    shown_published,
)
from ssl_methods.analysis.shown import UNKNOWN, markdown
from ssl_methods.config import load_experiment, published_folder
from ssl_methods.errors import UserError

FOLDER = Path(__file__).parents[2] / "configs" / "published"
METRICS = ("dice", "jaccard", "asd_voxel", "hd95_voxel")
PROTOCOL = {
    "iterations": 6000, "checkpoint": "last", "post_processing": "none", "split": "lists",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return load_published(FOLDER)


# ---- the values ----------------------------------------------------------------------------------


def test_values_are_in_our_units(rows):
    """Dice and Jaccard are printed in percent, distances in voxels."""
    for row in rows:
        for metric in METRICS:
            printed = getattr(row, metric)
            if printed is not None:
                unit = 100 if metric in ("dice", "jaccard") else 1
                assert row.value(metric) == pytest.approx(printed / unit)


def test_every_row_of_the_tables_of_the_dtc_paper_is_there(rows):
    places = [row.source.place for row in rows if "(DTC)" in row.source.citation]
    assert {place: places.count(place) for place in places} == {
        "table 1": 8,
        "table 2": 9,
        "table 3": 9,
    }
    hours = {
        (row.method, row.labeled): (row.train_hours, row.parameters_m)
        for row in rows
        if row.source.place == "table 3"
    }
    assert hours["sassnet", 16] == (4.4, 20.46) and hours["dan", 16] == (3.7, 12.09)


def test_several_published_values_of_one_method_and_budget_are_all_kept(rows):
    values = {
        row.dice: row.source.mark
        for row in rows
        if row.method == "ua_mt" and row.labeled == 8 and "left_atrium" in row.benchmark.datasets
    }
    assert values == {84.25: "verified", 86.28: "quoted", 87.79: "quoted"}


def test_every_method_is_ours_or_known_not_to_be(rows):
    ours = {path.stem for path in (FOLDER.parents[1] / "ssl_methods/methods").glob("*.py")}
    assert {row.method for row in rows} - ours == {
        "LG-ER-MT", "DUWM", "TraCoCo", "CoraNet", "vanilla V-Net", "DML",
        "CC-Net", "PS-MT", "CauSSL on BCP", "ABD",
    }  # fmt: skip


def test_three_rows_fail_the_jensen_check_and_those_without_jaccard_have_none(rows):
    of = {
        checked: [
            (row.source.place, row.method, row.labeled) for row in rows if row.jensen_ok is it
        ]
        for checked, it in (("fails", False), ("none", None))
    }
    assert of["fails"] == [
        ("table 3", "supervised", 16), ("table 3", "supervised_all", 80), ("README", "PS-MT", 6),
    ]  # fmt: skip
    assert [method for _, method, _ in of["none"]] == ["unimatch"] * 6 + ["ad_mt"] * 4


def test_the_v_net_of_the_dmd_paper_passes_where_that_of_table_3_fails(rows):
    own = {
        row.labeled: row for row in rows if row.title == "V-Net" and "(DMD)" in row.source.citation
    }
    assert (own[16].jaccard, own[80].jaccard) == (76.06, 83.82)
    assert all(row.jensen_ok for row in own.values())


def test_what_was_inferred_is_not_verified(rows):
    inferred = [row for row in rows if "inferred" in row.source.note]
    assert {row.method for row in inferred} == {"CoraNet", "bcp", "TraCoCo"}
    assert {row.source.mark for row in inferred} == {"quoted"}


def test_published_rows_stand_beside_the_experiment_as_released(rows):
    declared = load_experiment(FOLDER.parent / "experiments" / "left_atrium_as_released.yaml")
    own = [row for row in rows if declared.dataset.name in row.benchmark.datasets]
    assert {row.labeled for row in own} >= {8, 16, 80}


def test_scans_of_their_own_sizes_are_not_comparable_when_resampled():
    dataset = {"name": "acdc", "importer": "folder", "path": "acdc"}
    for spacing, said in ((None, "method not run"), ([1.0, 1.0, 8.0], "resampled to 1 x 1 x 8 mm")):
        declared = experiment(dataset=dataset | {"spacing": spacing}, methods=["cps"])
        table = published_table(declared, summary(("cps", 7, "method"))).set_index("metric")
        assert len(table) and table["verdict"].str.startswith(f"not comparable: {said}").all()


def test_a_metric_that_is_not_printed_has_no_verdict(tmp_path):
    row = {k: v for k, v in printed().items() if k not in ("jaccard", "asd_voxel", "hd95_voxel")}
    write(tmp_path, [row])
    table = published_table(experiment(), DTC_16, tmp_path).set_index("metric")
    assert table["verdict"].to_dict() == {
        "dice": "undecided", "jaccard": "not printed", "asd_voxel": "not printed",
        "hd95_voxel": "not printed",
    }  # fmt: skip
    assert table["published"].isna().sum() == 3 and table["jensen_ok"].isna().all()
    text = markdown(shown_published(table.reset_index()), published_note(table))
    assert f"| 80.00 |{f' {UNKNOWN} |' * 4}" in text


def test_jensen_check_allows_for_rounding(tmp_path):
    # 90.00 needs 81.818..., which is printed 81.82; 81.81 is too low even if both were rounded
    # by half a unit (89.995 needs 81.810, and 81.81 may be 81.815), 81.80 is not.
    declared = [printed(jaccard=value, dice=90.0) for value in (81.82, 81.81, 81.80)]
    write(tmp_path, declared)
    assert [row.jensen_ok for row in load_published(tmp_path)] == [True, True, False]


# ---- reading -------------------------------------------------------------------------------------


def printed(**changes):
    row = {
        "method": "dtc", "title": "DTC", "labeled": 16, "unlabeled": 64,
        "dice": 80.0, "jaccard": 68.0, "asd_voxel": 2.0, "hd95_voxel": 8.0,
    }  # fmt: skip
    return row | changes


def write(folder, rows, mark="verified", **protocol):
    source = {"citation": "A", "place": "table 1", "mark": mark, "rows": rows}
    data = {
        "datasets": ["left_atrium", "left_atrium_1.875mm"],
        "spacing_mm": [0.625, 0.625, 0.625],
        "patch_size": [112, 112, 80],
        "network": {"name": "vnet", "width": 16, "levels": 5},
        "sources": {"a": source | {"protocol": PROTOCOL | protocol}},
    }
    (folder / "made_up.yaml").write_text(yaml.safe_dump(data))


@pytest.mark.parametrize(
    ("rows", "protocol", "message"),
    [
        ([printed(dicee=1.0)], {}, "sources.a, row 1: dicee: unknown key; did you mean 'dice'"),
        ([printed(), printed(dice=101.0)], {}, "sources.a, row 2: dice"),
        ([printed()], {"checkpoints": "last"}, "protocol.checkpoints: unknown key"),
        ([printed()], {"checkpoint": "best"}, "protocol.checkpoint"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, rows, protocol, message):
    write(tmp_path, rows, **protocol)
    with pytest.raises(UserError) as error:
        load_published(tmp_path)
    assert message in str(error.value) and "made_up.yaml" in str(error.value)


def test_own_folder_goes_before_that_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert published_folder() == FOLDER
    (tmp_path / "configs/published").mkdir(parents=True)
    assert load_published(published_folder()) == []


# ---- beside our runs -----------------------------------------------------------------------------


def experiment(methods=("dtc", "supervised"), **changes):
    declared = {
        "name": "ours",
        "dataset": {"name": "left_atrium", "importer": "left_atrium"},
        "recipe": "as_released",
        "methods": dict.fromkeys(methods) if not isinstance(methods, dict) else methods,
        "budgets": [16],
    }
    return load_experiment(declared | changes)


def summary(*rows, recipe="as_released"):
    """Dice 0.79 with an interval from 0.77 to 0.81, for each (method, labeled, role)."""
    shared = {"recipe": recipe, "class": "atrium"}
    for metric, (value, low, high) in {
        "dice": (0.79, 0.77, 0.81),
        "jaccard": (0.66, 0.64, 0.67),
        "asd_voxel": (2.5, 2.2, 2.8),
        "hd95_voxel": (9.0, 8.0, 10.0),
        "dice_largest_component": (0.83, 0.82, 0.84),
    }.items():
        shared |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    return pd.DataFrame([
        {"method": method, "labeled": labeled, "unlabeled": 80 - labeled, "role": role,
         "budget": str(labeled), **shared}
        for method, labeled, role in rows
    ])  # fmt: skip


DTC_16 = summary(("dtc", 16, "method"))


def test_verdict_says_where_the_published_value_lies(tmp_path):
    write(tmp_path, [printed()])
    table = published_table(experiment(), DTC_16, tmp_path).set_index("metric")
    assert table["verdict"].to_dict() == {
        "dice": "undecided",  # 0.80 in 0.77..0.81: -3 to +1 points, and the margin is 2
        "jaccard": "worse",  # 0.68 over 0.67
        "asd_voxel": "worse",  # 2.0 under 2.2, and less is better
        "hd95_voxel": "undecided",  # on the edge
    }
    assert table["difference"].to_dict() == pytest.approx(
        {"dice": -0.01, "jaccard": -0.02, "asd_voxel": 0.5, "hd95_voxel": 1.0}
    )
    assert list(table["run"].unique()) == ["dtc"]


@pytest.mark.parametrize(
    ("protocol", "changes", "recipe", "reason"),
    [
        ({"iterations": 15000}, {}, "as_released", "6000 iterations, published 15000"),
        (
            {"checkpoint": "best_on_test"},
            {},
            "as_released",
            "published checkpoint is the best on the test set",
        ),
        (
            {"checkpoint": "best_on_validation"},
            {},
            "as_released",
            "published checkpoint is the best on validation cases",
        ),
        ({}, {}, "unified", "recipe unified"),
        ({}, {"network": {"width": 8}}, "as_released", "network"),
        (
            {},
            {"training": {"patch_size": [96, 96, 80]}},
            "as_released",
            "patch 96 x 96 x 80",
        ),
        (
            {},
            {"training": {"learning_rate": 0.05, "rotate": False}},
            "as_released",
            "training learning_rate, rotate",
        ),
        ({}, {"methods": {"dtc": {"k": 100}}}, "as_released", "settings k"),
        ({}, {"methods": ["supervised"]}, "as_released", "method not run"),
    ],
)
def test_known_differences_make_it_not_comparable(tmp_path, protocol, changes, recipe, reason):
    write(tmp_path, [printed()], **protocol)
    ours = summary(("dtc", 16, "method"), recipe=recipe)
    table = published_table(experiment(**changes), ours, tmp_path)
    assert set(table["verdict"]) == {f"not comparable: {reason}"}
    assert table["difference"].isna().all() and table["published"].notna().all()


def test_scans_at_another_resolution_are_shown_and_not_compared(tmp_path):
    write(tmp_path, [printed()])
    dataset = {
        "name": "left_atrium_1.875mm",
        "importer": "left_atrium",
        "spacing": [1.875, 1.875, 1.875],
    }
    table = published_table(experiment(dataset=dataset), DTC_16, tmp_path)
    assert set(table["verdict"]) == {"not comparable: resampled to 1.875 mm"}
    assert table["ours"].notna().all()


def test_another_dataset_has_no_rows(tmp_path):
    write(tmp_path, [printed()])
    declared = experiment(dataset={"name": "blobs", "importer": "phantom"})
    table = published_table(declared, DTC_16, tmp_path)
    assert table.empty and "verdict" in table
    assert "No published results" in markdown(shown_published(table), published_note(table))


def test_a_budget_that_was_not_run_is_named(tmp_path):
    write(tmp_path, [printed(labeled=8, unlabeled=72)])
    table = published_table(experiment(), DTC_16, tmp_path)
    assert set(table["verdict"]) == {"not comparable: 8 labeled not run"}
    unfinished = DTC_16.assign(dice=float("nan"))
    write(tmp_path, [printed()])
    assert set(published_table(experiment(), unfinished, tmp_path)["verdict"]) == {
        "not comparable: 16 labeled not run"
    }


def test_all_labels_are_matched_by_an_upper_bound(tmp_path):
    write(tmp_path, [printed(method="supervised_all", labeled=80, unlabeled=0)])
    ours = summary(("supervised_all", 16, "bound"), ("supervised", 16, "method"))
    declared = experiment(methods=["supervised", "supervised_all"])
    assert set(published_table(declared, ours, tmp_path)["run"]) == {"supervised_all"}


def test_a_variant_is_matched_by_its_settings(tmp_path):
    plus = printed(method="mc_net", title="MC-Net+", settings={"decoders": 3})
    write(tmp_path, [printed(method="mc_net", title="MC-Net"), plus])
    methods = {"mc_net": {}, "mc_net_plus": {"method": "mc_net", "decoders": 3}}
    ours = summary(("mc_net", 16, "method"), ("mc_net_plus", 16, "method"))
    table = published_table(experiment(methods=methods, baseline="mc_net"), ours, tmp_path)
    dice = table[table["metric"] == "dice"]
    assert list(zip(dice["title"], dice["run"], dice["verdict"], strict=True)) == [
        ("MC-Net", "mc_net", "undecided"),
        ("MC-Net", "mc_net_plus", "not comparable: settings decoders"),
        ("MC-Net+", "mc_net_plus", "undecided"),
    ]


def test_largest_components_are_compared_with_our_largest_components(tmp_path):
    write(tmp_path, [printed()], post_processing="largest_component")
    table = published_table(experiment(), DTC_16, tmp_path).set_index("metric")
    assert table.loc["dice", "ours"] == 0.83 and table.loc["dice", "verdict"] == "better"
    bare = DTC_16.drop(columns=[name for name in DTC_16 if "largest" in name])
    verdicts = set(published_table(experiment(), bare, tmp_path)["verdict"])
    assert verdicts == {"not comparable: published after post-processing"}


def test_an_unknown_protocol_is_named_and_does_not_hinder(tmp_path):
    write(tmp_path, [printed()], iterations=None, checkpoint="unknown", post_processing="unknown")
    table = published_table(experiment(), DTC_16, tmp_path)
    assert set(table["unknown"]) == {"iterations, checkpoint, post-processing"}
    assert table["verdict"].iloc[0] == "undecided"


# ---- as shown ------------------------------------------------------------------------------------


def test_quoted_rows_carry_a_dagger_and_the_note_says_why(tmp_path):
    write(tmp_path, [printed()], mark="quoted")
    table = published_table(experiment(), DTC_16, tmp_path)
    text = markdown(shown_published(table), published_note(table))
    assert f"| DTC{DAGGER} | 16 + 64 |" in text and "79.0 [77.0, 81.0]" in text
    assert "quoted from memory, not verified" in text

    write(tmp_path, [printed()])
    table = published_table(experiment(), DTC_16, tmp_path)
    assert DAGGER not in markdown(shown_published(table), published_note(table))


def test_columns_of_ours_are_left_out_where_nothing_was_run():
    shown = shown_published(published_table(experiment(methods=["supervised"]), DTC_16, FOLDER))
    assert len(shown) == 68 and "Our row" not in shown and "Difference" not in shown
    assert list(shown["Jensen check"]).count("fails") == 2


@pytest.mark.parametrize(
    ("margin", "word"), [(0.5, "undecided"), (3.5, "equivalent"), (1.5, "undecided")]
)
def test_what_is_within_the_margin_is_reproduced(tmp_path, margin, word):
    """Ours less the published Dice, with its rounding: -1 point [-3.05, +1.05]."""
    write(tmp_path, [printed()])
    declared = experiment().model_copy(update={"margin": margin})
    table = published_table(declared, DTC_16, tmp_path).set_index("metric")
    assert table.loc["dice", "verdict"] == word


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("last", "last checkpoint"),
        ("best_on_test", "checkpoint best on test"),
        ("best_on_validation", "checkpoint best on validation"),
        ("unknown", "checkpoint unknown"),
    ],
)
def test_every_row_shows_by_what_its_checkpoint_was_chosen(tmp_path, rule, shown):
    write(tmp_path, [printed()], checkpoint=rule)
    table = shown_published(published_table(experiment(), DTC_16, tmp_path))
    assert list(table["Source"]) == [f"A, table 1; {shown}"]


def test_what_the_code_of_a_source_says_of_its_checkpoint(rows):
    """UniMatch chose on the validation and test lists together; SS-Net on ACDC by its val.list."""
    rules = {
        (row.title, row.source.protocol.checkpoint)
        for row in rows
        if "acdc" in row.benchmark.datasets
        and ("SS-Net" in row.source.citation or "UniMatch" in row.source.citation)
    }
    assert rules == {
        ("SS-Net", "best_on_validation"), ("UniMatch", "best_on_test"), ("UniMatch", "last"),
    }  # fmt: skip
