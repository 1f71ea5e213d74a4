"""Label values: what the source has is what the manifest keeps; nothing is merged unasked."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.left_atrium_challenge import LeftAtriumChallengeDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError

SHAPE = (6, 5, 4)


def write(folder: Path, labels: list[np.ndarray], spacing=(1.0, 1.0, 1.0)) -> FolderDataset:
    rng, affine = np.random.default_rng(0), np.diag([*spacing, 1.0])
    for number, label in enumerate(labels):
        for kind, array in (("images", rng.normal(size=SHAPE)), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            array = array.astype(np.float32) if kind == "images" else array
            nibabel.save(nibabel.Nifti1Image(array, affine), folder / kind / f"s{number}.nii.gz")
    return FolderDataset(name="mine", importer="folder", path=folder, test_cases=1)


def filled(value: int, dtype=np.uint8) -> np.ndarray:
    label = np.zeros(SHAPE, dtype)
    label[1:4, 1:4, 1:3] = value
    return label


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_classes_and_volumes_are_those_that_numpy_counts(data):
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.float32]))
    largest = min(65_535, np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 65_535)
    values = data.draw(st.lists(st.integers(1, largest), min_size=1, max_size=5, unique=True))
    merged = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    labels = [rng.choice([0, *values], SHAPE).astype(dtype) for _ in range(2)]
    labels[0].flat[: len(values)] = values  # one case has them all
    spacing = tuple(data.draw(st.sampled_from([0.5, 1.0, 3.0])) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        dataset = write(Path(folder, "source"), labels, spacing)
        dataset = dataset.model_copy(update={"classes": "merged" if merged else "separate"})
        store = Store.open(prepare(dataset, Path(folder)))
        values = sorted(values)
        expected = [values] if merged and len(values) > 1 else [[value] for value in values]
        assert store.label_values == expected and len(store.classes) == len(expected)
        for number, label in enumerate(labels):
            counted = [int(np.isin(label, group).sum()) for group in expected]
            assert store.cases[f"s{number}"].foreground_voxels == counted
            back = np.zeros(SHAPE, dtype)
            for index, group in enumerate(expected, start=1):
                back[store.label(f"s{number}") == index] = group[0]
            if not merged:
                np.testing.assert_array_equal(back, label)


def test_found_values_get_names_of_their_own(tmp_path):
    both = filled(4, np.int16)
    both[5] = 700
    dataset = write(tmp_path / "source", [both, filled(4), filled(0)])
    store = Store.open(prepare(dataset, tmp_path))
    assert store.classes == ["label_4", "label_700"]


def test_one_value_alone_is_the_foreground_whatever_it_is(tmp_path):
    store = Store.open(prepare(write(tmp_path / "source", [filled(255), filled(0)]), tmp_path))
    assert store.classes == ["foreground"] and store.label_values == [[255]]


@pytest.mark.parametrize("other", [255, 2])
def test_foreground_written_in_two_ways_is_refused_with_both_remedies(tmp_path, other):
    dataset = write(tmp_path / "source", [filled(1), filled(1), filled(other), filled(0)])
    with pytest.raises(UserError) as raised:
        prepare(dataset, tmp_path)
    message = str(raised.value)
    assert f"1 in cases 's0', 's1'; {other} in case 's2'" in message
    assert "classes: merged" in message and "classes.txt" in message
    merged = dataset.model_copy(update={"classes": "merged"})
    store = Store.open(prepare(merged, tmp_path))
    assert store.label_values == [[1, other]] and store.classes == ["foreground"]
    (tmp_path / "source" / "classes.txt").write_text(f"1 left\n{other}: right\n")
    store = Store.open(prepare(dataset, tmp_path))
    assert store.classes == ["left", "right"] and store.label_values == [[1], [other]]


def test_values_that_meet_in_one_case_are_classes(tmp_path):
    both = filled(1)
    both[4] = 2
    dataset = write(tmp_path / "source", [filled(1), filled(2), both])
    assert Store.open(prepare(dataset, tmp_path)).classes == ["label_1", "label_2"]


def test_merging_is_said(tmp_path, caplog):
    both = filled(1)
    both[4] = 3
    dataset = write(tmp_path / "source", [both, filled(1)])
    with caplog.at_level(logging.INFO):
        folder = prepare(dataset.model_copy(update={"classes": "merged"}), tmp_path)
    assert "label values 1, 3 are merged into one class" in caplog.text
    assert "merged into one class" in (folder / "summary.md").read_text()


def test_names_alone_count_from_one_and_undeclared_values_are_refused(tmp_path):
    dataset = write(tmp_path / "source", [filled(2), filled(3)])
    (tmp_path / "source" / "classes.txt").write_text("liver\n2nd lobe\n")
    with pytest.raises(UserError, match=r"'s1': .*unexpected values \(3\); declared: 0, 1, 2"):
        prepare(dataset, tmp_path)
    (tmp_path / "source" / "classes.txt").write_text("liver\n2nd lobe\ntumour\n")
    assert Store.open(prepare(dataset, tmp_path)).classes == ["liver", "2nd lobe", "tumour"]


@pytest.mark.parametrize(
    "text, words",
    [("a\na\n", "has a name twice"), ("1 a\n1 b\n", "a label value twice"), ("", "names no class")],
)
def test_faults_of_classes_txt(tmp_path, text, words):
    dataset = write(tmp_path / "source", [filled(1), filled(1)])
    (tmp_path / "source" / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=rf"classes\.txt: .*{words}"):
        prepare(dataset, tmp_path)


def test_values_of_one_name_are_one_class(tmp_path):
    dataset = write(tmp_path / "source", [filled(2), filled(9, np.int16)])
    (tmp_path / "source" / "classes.txt").write_text("2 tumour\n9 tumour\n5 liver\n")
    store = Store.open(prepare(dataset, tmp_path))
    assert store.classes == ["tumour", "liver"] and store.label_values == [[2, 9], [5]]


def test_more_values_than_eight_bits_hold_are_refused(tmp_path):
    label = np.arange(1000, 1000 + np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    dataset = write(tmp_path / "source", [label, label + 119, label + 238])
    with pytest.raises(
        UserError, match=r"at most 255 can be classes; set dataset\.classes: merged"
    ):
        prepare(dataset, tmp_path)


def test_other_values_in_a_label_of_the_challenge_are_refused(tmp_path):
    import nrrd

    header = {"space": "left-posterior-superior", "space directions": np.eye(3)}
    for case_id in "AB":
        (tmp_path / "source" / case_id).mkdir(parents=True)
        image = np.random.default_rng(ord(case_id)).normal(size=SHAPE)
        nrrd.write(str(tmp_path / "source" / case_id / "lgemri.nrrd"), image, header)
        label = filled(255 if case_id == "A" else 1)
        nrrd.write(str(tmp_path / "source" / case_id / "laendo.nrrd"), label, header)
    dataset = LeftAtriumChallengeDataset(
        name="la", importer="left_atrium_challenge", path=tmp_path / "source", test_cases=1
    )
    with pytest.raises(UserError, match=r"case 'B': .*unexpected values \(1\); declared: 0, 255"):
        prepare(dataset, tmp_path)


def test_a_store_of_an_older_format_is_prepared_anew(tmp_path):
    dataset = write(tmp_path / "source", [filled(1), filled(1)])
    folder = prepare(dataset, tmp_path)
    path = folder / "manifest.json"
    now = path.read_text()
    old = {k: v for k, v in json.loads(now).items() if k not in ("label_values", "orientation")}
    path.write_text(json.dumps(old | {"format": 1}))
    with pytest.raises(UserError, match=r"format 1, made by another version .*run 'prepare' again"):
        Store.open(folder)
    prepare(dataset, tmp_path)
    assert path.read_text() == now
