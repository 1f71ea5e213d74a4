"""The second phase: levels that are fair to every subset, and subsets that spread over them."""

import json

import numpy as np
import pytest

from ssl_methods.config import load_experiment
from ssl_methods.data.compared import (
    choose,
    compared_file,
    compared_now,
    level_ids,
    levels,
    read_compared,
    read_level,
    write_level,
)
from ssl_methods.data.prepare import prepare
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError

TWO_PHASES = {
    "name": "two",
    "dataset": {
        "name": "tiny", "importer": "phantom", "shape": [16, 18, 20], "train_cases": 12,
        "test_cases": 2,
    },
    "methods": ["supervised", "dtc"],
    "budgets": [2],
    "labeled_cases": "partition",
    "subsets": {"baseline": 12, "compared": 6},
    "looks": [4],
    "training": {"patch_size": [16, 16, 16]},
}  # fmt: skip


def test_levels_are_those_that_subsets_would_have_on_the_same_cases():
    random = np.random.default_rng(0)
    of_subset, of_case = random.normal(0.6, 0.02, 9), random.normal(0, 0.3, 20)
    values = {
        subset: {str(case): level + of_case[case] for case in range(20) if case % 9 != subset}
        for subset, level in enumerate(of_subset)
    }
    known = levels({subset: [one, one] for subset, one in values.items()})
    naive = [np.mean([*one.values()]) for one in values.values()]
    wanted = of_subset - of_subset.mean()
    left = np.array([*known.values()]) - np.mean([*known.values()]) - wanted
    assert np.abs(left).max() < 0.001
    assert np.abs(naive - np.mean(naive) - wanted).max() > 0.01


def test_level_cases_are_labeled_training_cases_outside_the_subset(tmp_path):
    experiment = load_experiment(TWO_PHASES)
    store = Store.open(prepare(experiment.dataset, tmp_path))
    common = set()
    for subset in range(6):
        split = make_split(store, 2, subset, 3, "partition")
        ids = level_ids(store, split, 6)
        common |= set(ids)
        assert 4 <= len(ids) <= 6
        assert all(store.cases[case].labeled for case in ids)
        assert not set(ids) & {*split.labeled, *split.validation, *split.test}
    assert len(common) == 6
    assert level_ids(store, split, 0) == []


def measured(experiment, results, level):
    for run in experiment.runs():
        if run.name == "supervised":
            path = results / run.folder / "level.json"
            path.parent.mkdir(parents=True)
            write_level(path, {"a": level[run.subset], "b": level[run.subset] / 2})


def test_the_choice_spreads_over_the_levels_and_the_runs_follow_it(tmp_path):
    experiment = load_experiment(TWO_PHASES)
    with pytest.raises(UserError, match=r"subset-0.*level.json: is not there"):
        choose(experiment, 2, tmp_path)
    level = np.random.default_rng(1).permutation(np.linspace(0.1, 0.9, 12))
    measured(experiment, tmp_path, level.tolist())
    assert compared_now(experiment, tmp_path) == {}
    path = choose(experiment, 2, tmp_path)
    assert path == compared_file(experiment, 2, tmp_path)
    choice = read_compared(experiment, tmp_path)["2"]
    ranks = np.argsort(np.argsort(level))[choice.subsets]
    assert sorted(ranks[:4] // 3) == [0, 1, 2, 3] and sorted(ranks // 2) == [0, 1, 2, 3, 4, 5]
    now = compared_now(experiment, tmp_path)
    runs = [run.subset for run in experiment.runs(now) if run.name == "dtc"]
    assert runs == choice.subsets[:4]  # those of the first look
    again = choose(experiment, 2, tmp_path).read_bytes()
    assert again == path.read_bytes()


def test_a_choice_of_another_declaration_or_a_damaged_one_is_refused(tmp_path):
    experiment = load_experiment(TWO_PHASES)
    measured(experiment, tmp_path, [0.5] * 12)
    path = choose(experiment, 2, tmp_path)
    fewer = load_experiment(TWO_PHASES | {"subsets": {"baseline": 12, "compared": 5}})
    with pytest.raises(UserError, match=r"another declaration of subsets \(6 of 12\)"):
        read_compared(fewer, tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"subsets": "all"}))
    with pytest.raises(UserError, match=r"compared.json: subsets: .*run 'choose' again"):
        read_compared(experiment, tmp_path)
    with pytest.raises(UserError, match="nothing is to be chosen"):
        choose(load_experiment(TWO_PHASES | {"subsets": 3}), 2, tmp_path)
    level = tmp_path / "level.json"
    for text in ("{}", "[1]", '{"a": 2}', '{"a": "x"}'):
        level.write_text(text)
        with pytest.raises(UserError, match="holds no Dice of cases"):
            read_level(level)
