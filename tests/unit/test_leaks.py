"""Leaks that are planted in lists, manifests and splits are named by `doctor`; honest ones pass."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from support import layouts

from ssl_methods.cli import main
from ssl_methods.config import load_experiment
from ssl_methods.data.leaks import half_labeled, leaks
from ssl_methods.data.prepare import prepare
from ssl_methods.data.splits import Split
from ssl_methods.data.store import Store, store_folder

DECLARED = {
    "name": "acdc",
    "dataset": {"name": "acdc", "importer": "acdc_h5", "path": "data"},
    "methods": ["supervised"],
    "budgets": [2, 4],
    "subsets": 2,
    "validation_cases": 2,
}


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """Five patients for training, two of two frames for testing, prepared in the working folder."""
    monkeypatch.chdir(tmp_path)
    layouts.acdc(Path("data"), train=5)
    declare()
    return Store.open(prepare(load_experiment(DECLARED).dataset, Path("results")))


def declare(**changes) -> None:
    Path("e.yaml").write_text(yaml.safe_dump(DECLARED | changes))


def doctor(capsys) -> tuple[int, list[str]]:
    """Its status, and what it says of the experiment."""
    capsys.readouterr()
    status = main(["doctor", "e.yaml"])
    return status, [line for line in capsys.readouterr().out.splitlines() if "e.yaml: " in line]


def replant(store: Store, case: str, **changes) -> None:
    path = store.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for record in manifest["cases"]:
        record.update(changes if record["id"] == case else {})
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("test", ["listed", "rotated"])
def test_honest_splits_pass_for_every_subset_and_fold(store, capsys, test):
    declare(test=test, labeled_cases="partition", budgets=[2])
    status, lines = doctor(capsys)
    assert status == 0 and not any(line.startswith("FAIL") for line in lines)
    assert "no case, group or scan is on two sides of a split (2 splits)" in lines[1]


def test_a_patient_for_training_and_testing_is_named_for_each_split(store, capsys):
    replant(store, "patient107_frame01", group="patient101")
    status, lines = doctor(capsys)
    assert status == 1
    found = [line for line in lines if "group" in line and line.startswith("FAIL")]
    assert len(found) >= 4  # of 2 budgets and 2 subsets
    for budget in (2, 4):
        for subset in (0, 1):
            assert any(
                re.search(rf"labeled-{budget}, subset {subset}: group 'patient101' is both", it)
                for it in found
            )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it["test"].append(it["labeled"][0]), "both labeled and tested"),
        (lambda it: it["test"].append(it["unlabeled"][0]), "both unlabeled and tested"),
        (lambda it: it["validation"].append(it["labeled"][0]), "both labeled and for validation"),
        (lambda it: it["unlabeled"].append(it["labeled"][0]), "both labeled and unlabeled"),
        (lambda it: it["validation"].append(it["test"][0]), "both for validation and tested"),
        (lambda it: it["validation"].pop(), None),
    ],
)
def test_a_split_that_was_changed_by_hand(store, capsys, change, words):
    assert main(["split", "e.yaml"]) == 0
    assert doctor(capsys)[0] == 0
    path = Path("results/acdc/splits/labeled-4_subset-1.json")
    split = json.loads(path.read_text())
    change(split)
    path.write_text(json.dumps(split))
    status, lines = doctor(capsys)
    assert status == 1
    faults = [line for line in lines if line.startswith("FAIL")]
    assert f"{path}: is of other data or settings" in faults[0]
    if words:
        assert re.search(rf"{path}: case 'patient\d+_frame\d+' is {words}", "\n".join(faults))


def test_one_scan_under_two_ids(store, capsys):
    same = store.cases["patient101_frame01"].voxels_sha256
    replant(store, "patient108_frame02", voxels_sha256=same)
    status, lines = doctor(capsys)
    assert status == 1 and "are the same scan" in "\n".join(lines)


def test_a_case_in_two_lists_is_seen_before_anything_is_prepared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = layouts.acdc(Path("data"))
    with Path("data/test.list").open("a") as file:
        file.write(found["train"][1] + "\n")
    declare(budgets=[2], validation_cases=0)
    status, lines = doctor(capsys)
    assert status == 1 and not store_folder(load_experiment(DECLARED).dataset, Path("r")).exists()
    assert f"data/test.list both name '{found['train'][1]}'" in "\n".join(lines)


def test_sides_and_groups_by_hand(store):
    """Frames of one patient: apart from testing it is no leak, and half of it may be labeled."""
    case = [f"patient{it}_frame0{frame}" for it in (101, 102, 107) for frame in (1, 2)]
    more = {"dataset": "acdc", "budget": 1, "subset": 0}
    split = Split(labeled=case[:1], unlabeled=case[1:3], validation=[], test=case[4:], **more)
    assert leaks(split, store) == []
    assert half_labeled(split, store) == ["patient101"]
    split = Split(
        labeled=case[:1], unlabeled=case[2:3], validation=case[1:2], test=case[3:], **more
    )
    assert leaks(split, store) == [
        "group 'patient101' is both for training and for validation",
        "group 'patient102' is both for training and tested",
    ]
    assert half_labeled(split, store) == []
