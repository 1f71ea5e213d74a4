"""Splits: disjoint, complete, the same everywhere, and clear about what cannot be drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_methods.data.draw import share, shuffled
from ssl_methods.data.splits import Split, load_split, make_split, split_name
from ssl_methods.data.store import CaseRecord, Manifest, Store
from ssl_methods.errors import UserError


def store(labeled: int = 20, unlabeled: int = 0, test: int = 5, **settings) -> Store:
    """A store of a manifest alone: drawing a split opens no array."""

    def record(case_id: str, split: str, has_label: bool) -> CaseRecord:
        return CaseRecord(
            id=case_id,
            split=split,
            labeled=has_label,
            shape=(4, 4),
            spacing=(1.0, 1.0),
            affine=None,
            image_sha256="",
            label_sha256=None,
            foreground_voxels=None,
            group=groups.get(case_id),
        )

    groups = settings.pop("groups", {})
    cases = [record(f"l{index:02d}", "train", True) for index in range(labeled)]
    cases += [record(f"u{index:02d}", "train", False) for index in range(unlabeled)]
    cases += [record(f"t{index:02d}", "test", True) for index in range(test)]
    manifest = Manifest(
        dataset=settings.pop("name", "demo"),
        settings={"split_seed": 0} | settings,
        dimensions=2,
        channels=1,
        classes=["foreground"],
        crop_used_label=False,
        cases=cases,
    )
    return Store(Path("nowhere"), manifest)


LABELED = ["l00", "l03", "l06", "l07"]
VALIDATION = ["l09", "l11"]

budgets = st.integers(1, 12) | st.floats(0.01, 1.0)


@given(budgets, st.integers(0, 5), st.integers(0, 7), st.integers(0, 4))
def test_every_case_is_in_one_list_in_the_order_of_the_manifest(
    budget, subset, held_out, unlabeled
):
    data = store(unlabeled=unlabeled)
    split = make_split(data, budget, subset, held_out)
    assert sorted(split.labeled + split.unlabeled + split.validation) == sorted(data.ids("train"))
    assert split.test == data.ids("test")
    assert len(split.validation) == held_out
    assert len(split.labeled) >= 1
    assert not {case for case in split.labeled + split.validation if case.startswith("u")}
    order = list(data.cases)
    for ids in (split.labeled, split.unlabeled, split.validation):
        assert ids == sorted(ids, key=order.index)


@pytest.mark.parametrize(
    "budget, total, expected",
    [
        (4, 20, 4),
        (1.0, 7, 7),
        (0.1, 72, 7),
        (0.5, 5, 3),
        (0.25, 10, 3),
        (0.01, 10, 1),
        (0.29, 50, 15),
    ],
)
def test_a_fraction_is_rounded_half_up_and_is_at_least_one(budget, total, expected):
    assert share(budget, total) == expected
    assert len(make_split(store(total), budget, 0).labeled) == expected


def test_all_labeled_leaves_only_cases_without_a_label_unlabeled():
    split = make_split(store(6, unlabeled=2), 1.0, 0)
    assert len(split.labeled) == 6 and split.unlabeled == ["u00", "u01"]


def test_the_draw_depends_on_budget_and_subset_and_data_set():
    draws = {
        tuple(make_split(data, budget, subset).labeled[:4])
        for data in (store(), store(name="other"))
        for budget in (4, 5)
        for subset in range(3)
    }
    assert len(draws) == 12


def test_the_first_cases_are_those_at_the_head_of_the_source():
    data = store(unlabeled=3)
    split = make_split(data, 4, 0, labeled_cases="first")
    assert split.labeled == ["l00", "l01", "l02", "l03"]
    assert split.unlabeled == data.ids("train")[4:]
    held_out = make_split(data, 4, 0, 5, "first")
    assert held_out.validation == make_split(data, 4, 0, 5).validation
    left = [case for case in data.ids("train") if case not in held_out.validation]
    assert held_out.labeled == left[:4]


def test_validation_cases_are_the_same_in_all_runs_of_a_data_set():
    held_out = {
        tuple(make_split(store(), budget, subset, 4).validation)
        for budget in (1, 8, 0.5, 1.0)
        for subset in range(3)
    }
    assert len(held_out) == 1
    assert tuple(make_split(store(split_seed=1), 4, 0, 4).validation) not in held_out


def test_the_draw_is_fixed_for_good():
    """Written down: published results rest on these subsets."""
    assert make_split(store(), 4, 0, 2).model_dump() == {
        "dataset": "demo",
        "budget": 4,
        "subset": 0,
        "labeled": LABELED,
        "unlabeled": [f"l{i:02d}" for i in range(20) if f"l{i:02d}" not in LABELED + VALIDATION],
        "validation": VALIDATION,
        "test": ["t00", "t01", "t02", "t03", "t04"],
    }


def test_every_case_is_as_likely_as_another():
    counts = dict.fromkeys((f"l{index:02d}" for index in range(20)), 0)
    for subset in range(1000):
        for case in make_split(store(), 5, subset).labeled:
            counts[case] += 1
    # 250 expected each, standard deviation 13.7: five of them
    assert all(abs(count - 250) < 69 for count in counts.values())


def test_a_new_case_moves_no_other():
    ids = [f"c{index}" for index in range(30)]
    with_new = [case for case in shuffled([*ids, "new"], "key", 1) if case != "new"]
    assert with_new == shuffled(reversed(ids), "key", 1)
    assert shuffled(ids, "key", 2) != shuffled(ids, "key", 1)


def test_written_and_read(tmp_path):
    for budget, name in ((4, "labeled-4_subset-0.json"), (1.0, "labeled-1.0_subset-0.json")):
        split = make_split(store(), budget, 0)
        path = tmp_path / split_name(budget, 0)
        assert path.name == name
        split.write(path)
        again = Split.read(path)
        assert again == split and type(again.budget) is type(budget)


def test_a_broken_split_file_names_file_and_key(tmp_path):
    path = tmp_path / "split.json"
    path.write_text('{"dataset": "demo"}')
    with pytest.raises(UserError, match=r"split\.json: budget"):
        Split.read(path)


def test_a_split_file_of_other_data_is_refused(tmp_path, experiment):
    run = next(experiment().runs())
    path = tmp_path / run.experiment / "splits" / split_name(run.budget, run.subset)
    assert load_split(run, store(name="tiny"), tmp_path) == make_split(store(name="tiny"), 2, 0)
    make_split(store(name="tiny"), 2, 0).write(path)
    assert len(load_split(run, store(name="tiny"), tmp_path).labeled) == 2
    with pytest.raises(UserError, match=r"labeled-2_subset-0\.json.*run 'split' again"):
        load_split(run, store(21, name="tiny"), tmp_path)


@pytest.mark.parametrize(
    "data, budget, held_out, message",
    [
        (store(20), 21, 0, "demo: budget 21 is larger .* 20 labeled training cases"),
        (store(20), 17, 4, r"budget 17 .* 16 labeled training cases \(after 4 for validation\)"),
        (store(0, unlabeled=3), 1, 0, "none of the 3 training cases has a label"),
        (store(5, test=0), 1, 0, "no labeled test case"),
        (store(5), 1, 5, "validation_cases 5 leaves nothing to train on: .* 5 labeled"),
    ],
)
def test_what_cannot_be_drawn(data, budget, held_out, message):
    with pytest.raises(UserError, match=message):
        make_split(data, budget, 0, held_out)


def test_a_partition_labels_every_case_once_and_blocks_are_nested():
    """8 training cases with a label: four subsets of two, then another order of the same cases."""
    data = store(labeled=8, unlabeled=2)

    def labeled(budget, subset):
        return set(make_split(data, budget, subset, labeled_cases="partition").labeled)

    first, second = ([labeled(2, i + start) for i in range(4)] for start in (0, 4))
    for round_ in (first, second):
        assert sorted(case for block in round_ for case in block) == [f"l{i:02d}" for i in range(8)]
    assert set(map(frozenset, first)) != set(map(frozenset, second))
    assert [labeled(4, i) for i in range(2)] == [first[0] | first[1], first[2] | first[3]]
    assert labeled(1.0, 0) == labeled(1.0, 1) and len(labeled(1.0, 0)) == 8
    assert [len(labeled(3, i)) for i in range(4)] == [3, 3, 3, 3]  # two blocks in a round
    assert labeled(3, 0).isdisjoint(labeled(3, 1))


@pytest.mark.parametrize("held_out", [0, 3])
def test_rotated_folds_test_every_case_in_its_turn_and_label_each_once(held_out):
    """40 cases and a list of 8 make five folds; ten blocks of 4 then label every case."""
    data = store(labeled=32, unlabeled=3, test=8)
    splits = [make_split(data, 4, n, held_out, "partition", "rotated") for n in range(10)]
    folds = max(2, round((40 - held_out) / 8))
    tested = [case for split in splits[:folds] for case in split.test]
    assert len(tested) == len({*tested}) == 40 - held_out
    assert all(splits[n].test == splits[n % folds].test for n in range(10))
    labeled = [case for split in splits[:folds] for case in split.labeled]
    assert len({*labeled}) == len(labeled) == 4 * folds
    if not held_out:
        assert {case for split in splits for case in split.labeled} == {*tested}
    for split in splits:
        lists = [split.labeled, split.unlabeled, split.validation, split.test]
        assert sorted(case for one in lists for case in one) == sorted(data.cases)
        assert split.validation == splits[0].validation
        assert all(one == [case for case in data.cases if case in one] for one in lists)
        assert {f"u{n:02d}" for n in range(3)} <= {*split.unlabeled}
    eight = make_split(data, 8, 0, held_out, "partition", "rotated")
    assert {*splits[0].labeled} | {*splits[folds].labeled} == {*eight.labeled}


@given(st.integers(2, 9), st.integers(0, 7), st.sampled_from(("drawn", "partition")))
def test_rotated_folds_part_no_group(size, subset, drawn_how):
    names = [f"l{n:02d}" for n in range(20)] + [f"u{n:02d}" for n in range(4)]
    names += [f"t{n:02d}" for n in range(6)]
    groups = {name: f"g{place // size}" for place, name in enumerate(names)}
    split = make_split(store(20, 4, 6, groups=groups), 2, subset, 0, drawn_how, "rotated")
    seen = {groups[case] for case in split.test}
    assert split.test and seen.isdisjoint(groups[c] for c in (*split.labeled, *split.unlabeled))


def test_rotated_folds_need_two():
    with pytest.raises(UserError, match="needs two folds of 20 labeled cases at least, and 24"):
        make_split(store(labeled=4, test=20), 2, 0, test="rotated")


@pytest.mark.parametrize("how", ["drawn", "partition", "first"])
def test_a_budget_of_patients_labels_all_cases_of_each_or_none(how):
    data = store(labeled=20, unlabeled=2)
    for number, case in enumerate(data.cases):
        data.cases[case] = data.cases[case].model_copy(update={"group": f"patient{number // 2}"})
    owner = {case: record.group for case, record in data.cases.items()}
    seen = Counter()
    for subset in range(5 if how == "partition" else 1):
        split = make_split(data, 2, subset, 0, how, budgets_count="patients")
        assert len(split.labeled) == 4
        assert not {owner[case] for case in split.labeled} & {
            owner[case] for case in split.unlabeled
        }
        seen.update(split.labeled)
    if how == "partition":
        assert [*seen.values()] == [1] * 20
    with pytest.raises(UserError, match=r"budget 11 .* 10 labeled training patients"):
        make_split(data, 11, 0, 0, how, budgets_count="patients")
