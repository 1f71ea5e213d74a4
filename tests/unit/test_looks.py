"""Looks: what they need, what they say, and how many runs are asked for because of them."""

import json

import pytest
from support import simulated

from ssl_methods.analysis.collect import collect
from ssl_methods.analysis.looks import look
from ssl_methods.analysis.table_files import read_table
from ssl_methods.data.compared import choose as choose_compared
from ssl_methods.data.compared import (
    compared_file,
    is_decided,
    next_look,
    runs_of,
    runs_of_look,
    write_level,
)
from ssl_methods.errors import UserError

FIVE = {"methods": ["supervised", "dtc"], "budgets": [4], "subsets": 6, "looks": [4]}


def subsets(experiment, results, name="dtc"):
    return [run.subset for run in runs_of(experiment, results) if run.name == name]


def test_a_look_that_decides_ends_it_and_one_that_does_not_goes_on(tmp_path):
    experiment = simulated.experiment(**FIVE)
    assert subsets(experiment, tmp_path) == subsets(experiment, tmp_path, "supervised")
    assert subsets(experiment, tmp_path) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="is not trained and evaluated yet"):
        look(experiment, 4, 4, tmp_path)
    simulated.write_results(experiment, tmp_path, test_cases=24)
    path = look(experiment, 4, 4, tmp_path)
    record = json.loads(path.read_text())
    assert record["verdicts"] == {"dtc": "better"} and is_decided(path)
    assert subsets(experiment, tmp_path) == [0, 1, 2, 3]
    # The same with a method that is as good as the baseline.
    undecided = simulated.experiment(**FIVE | {"methods": ["supervised", "mean_teacher"]})
    other = tmp_path / "other"
    simulated.write_results(undecided, other, test_cases=24)
    path = look(undecided, 4, 4, other)
    record = json.loads(path.read_text())
    if record["decided"]:  # what was simulated decides; the file is what the workflow heeds
        path.write_text(json.dumps(record | {"decided": False}))
    assert next_look(undecided, 4, other) == 6
    assert subsets(undecided, other, "mean_teacher") == [0, 1, 2, 3, 4, 5]


def test_tables_know_the_runs_up_to_the_look_alone(tmp_path):
    experiment = simulated.experiment(**FIVE)
    simulated.write_results(experiment, tmp_path, test_cases=24)
    look(experiment, 4, 4, tmp_path)
    collect(experiment, tmp_path)
    runs = read_table(tmp_path / "simulated/tables/runs.csv")
    assert len(runs) == 8 and set(runs["status"]) == {"done"}
    comparisons = read_table(tmp_path / "simulated/tables/comparisons.csv")
    judged = comparisons[comparisons["verdict"] != ""]
    assert set(judged["looked_at"]) == {4}


def test_looks_that_are_not_declared_or_damaged_are_one_line(tmp_path):
    experiment = simulated.experiment(**FIVE)
    with pytest.raises(UserError, match=r"no look at 5 subsets of 4 labels.*declared: 4, 6"):
        look(experiment, 4, 5, tmp_path)
    file = tmp_path / "simulated/looks/labeled-4_subsets-4.json"
    file.parent.mkdir(parents=True)
    for text in ("[]", "{}", '{"decided": "yes"}'):
        file.write_text(text)
        with pytest.raises(UserError, match=r"labeled-4_subsets-4.json: is no record of a look"):
            runs_of(experiment, tmp_path)


def test_a_look_of_two_phases_follows_the_choice(tmp_path):
    experiment = simulated.experiment(
        methods={"supervised": {}, "dtc": {}, "mean_teacher": {"subsets": 2}},
        budgets=[4],
        subsets={"baseline": 8, "compared": 5},
        looks=[3],
    )
    with pytest.raises(UserError, match="are not chosen yet; run 'choose' first"):
        runs_of_look(experiment, 4, 3, tmp_path)
    assert subsets(experiment, tmp_path) == []
    for run in runs_of(experiment, tmp_path):
        if run.name == "supervised":
            path = tmp_path / run.folder / "level.json"
            path.parent.mkdir(parents=True)
            write_level(path, {"a": 0.1 * run.subset, "b": 0.1 * run.subset})
    choose_compared(experiment, 4, tmp_path)
    order = json.loads(compared_file(experiment, 4, tmp_path).read_text())["subsets"]
    assert subsets(experiment, tmp_path) == order[:3]
    needed = [(run.name, run.subset) for run in runs_of_look(experiment, 4, 3, tmp_path)]
    assert {it for it in needed if it[0] == "dtc"} == {("dtc", subset) for subset in order[:3]}
    assert {it[1] for it in needed if it[0] == "supervised"} == set(order[:3])
    assert "mean_teacher" not in dict(needed)
    assert subsets(experiment, tmp_path, "mean_teacher") == [0, 1]
