"""Across cases: one scan under two ids, axes in several orders, cases far from the others."""

from __future__ import annotations

import itertools
import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations
from support.fatal import fatal

from ssl_methods.data import workers
from ssl_methods.data.geometry import restore_label
from ssl_methods.data.importers.base import RawCase
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.pancreas_ct import PancreasCTDataset
from ssl_methods.data.outliers import far
from ssl_methods.data.prepare import prepare
from ssl_methods.data.preprocessing import prepare_image
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store
from ssl_methods.data.workers import Died, Workers
from ssl_methods.errors import UserError

SHAPE = (7, 6, 5)
CODES = [
    "".join(letters)
    for order in itertools.permutations(["RL", "AP", "SI"])
    for letters in itertools.product(*order)
]


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32)


def box() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[1:4, 2:5, 1:3] = 1
    return label


def save(path: Path, array: np.ndarray, affine=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def save_case(folder: Path, name: str, seed: int, affine=None) -> None:
    save(folder / "images" / f"{name}.nii.gz", noise(seed), affine)
    save(folder / "labels" / f"{name}.nii.gz", box(), affine)


def as_stored(image, codes: str):
    """The same volume, its array in another order of axes (nibabel)."""
    now = orientations.io_orientation(image.affine)
    return image.as_reoriented(
        orientations.ornt_transform(now, orientations.axcodes2ornt(tuple(codes)))
    )


def folder(path: Path, **changes) -> FolderDataset:
    return FolderDataset(**{"name": "mine", "importer": "folder", "path": path} | changes)


# ---- one scan under two ids ----------------------------------------------------------------------


def copied_plain(image, path: Path) -> None:
    nibabel.save(image, f"{path}.nii")


def copied_turned(image, path: Path) -> None:
    nibabel.save(as_stored(image, "PSL"), f"{path}.nii.gz")


def copied_as_nrrd(image, path: Path) -> None:
    nrrd.write(f"{path}.nrrd", np.asarray(image.dataobj), {"spacings": [1.0, 1.0, 1.0]})


def copied_with_another_header(image, path: Path) -> None:
    header = np.diag([2.0, -1.5, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj, np.float64), header), f"{path}.nii")


@pytest.mark.parametrize(
    "copy", [copied_plain, copied_turned, copied_as_nrrd, copied_with_another_header]
)
def test_the_same_scan_on_both_sides_is_warned_of_and_refused(tmp_path, caplog, copy):
    for number in range(4):
        save_case(tmp_path / "source", f"s{number}", number)
    image = nibabel.load(tmp_path / "source" / "images" / "s0.nii.gz")
    copy(image, tmp_path / "source" / "images" / "again")
    (tmp_path / "source" / "test.list").write_text("s0\n")
    dataset = folder(tmp_path / "source", spacing=(1.5, 1.5, 1.5))
    with caplog.at_level(logging.WARNING):
        prepared = prepare(dataset, tmp_path)
    assert "cases 'again' (train), 's0' (test) are the same scan" in caplog.text
    assert "again, s0 (for training and for testing)" in (prepared / "summary.md").read_text()
    with pytest.raises(UserError, match=r"cases 's0' \(test\), 'again' \(training\)|'again'.*'s0'"):
        make_split(Store.open(prepared), 2, 0)
    allowed = dataset.model_copy(update={"repeated_scans": True})
    assert make_split(Store.open(prepare(allowed, tmp_path)), 2, 0).test == ["s0"]


def test_within_one_side_it_is_a_warning_and_with_validation_a_fault(tmp_path, caplog):
    for number in range(4):
        save_case(tmp_path / "source", f"s{number}", number)
    for name in ("s4", "s5"):
        save_case(tmp_path / "source", name, 0)
    (tmp_path / "source" / "test.list").write_text("s3\n")
    store = Store.open(prepare(folder(tmp_path / "source"), tmp_path))
    assert "'s0' (train), 's4' (train), 's5' (train) are the same scan" in caplog.text
    make_split(store, 2, 0)
    refused = 0
    for count in range(1, 5):
        try:
            held = make_split(store, 1, 0, validation_cases=count).validation
            assert not {"s0", "s4", "s5"} & set(held) or {"s0", "s4", "s5"} <= set(held)
        except UserError as error:
            refused += "(validation)" in str(error) and "(training)" in str(error)
    assert refused


def test_scans_that_differ_in_one_voxel_are_two(tmp_path, caplog):
    for number in range(3):
        image = noise(0)
        image[0, 0, 0] += number
        save(tmp_path / "source" / "images" / f"s{number}.nii", image)
        save(tmp_path / "source" / "labels" / f"s{number}.nii", box())
    folder_ = prepare(folder(tmp_path / "source"), tmp_path)
    assert "same scan" not in caplog.text
    assert "equal labels of other scans: s0, s1, s2" in (folder_ / "summary.md").read_text()


def test_the_published_repeats_of_pancreas_are_asked_for():
    assert not PancreasCTDataset(name="p", importer="pancreas_ct").repeated_scans


# ---- axes ----------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(CODES), min_size=3, max_size=4), st.sampled_from([None, *CODES]))
def test_all_axes_are_brought_to_one_and_a_prediction_back(codes, wanted):
    """The truth is nibabel's reorientation of the same volumes."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name, "source")
        affine = np.diag([2.0, 1.0, 3.0, 1.0])
        turned = []
        for number, code in enumerate(codes):
            for kind, array in (("images", noise(number)), ("labels", box())):
                image = as_stored(nibabel.Nifti1Image(array, affine), code)
                save(source / kind / f"s{number}.nii", np.asarray(image.dataobj), image.affine)
                turned.append(image)
        dataset = folder(source, orientation=wanted, normalisation="none", test_cases=1)
        store = Store.open(prepare(dataset, Path(name)))
        most = max(codes, key=lambda code: (codes.count(code), -codes.index(code)))
        assert store.manifest.orientation == (wanted or most)
        for number in range(len(codes)):
            case = store.cases[f"s{number}"]
            image = as_stored(turned[2 * number], wanted or most)
            label = as_stored(turned[2 * number + 1], wanted or most)
            np.testing.assert_array_equal(store.image(case.id)[0], np.asarray(image.dataobj))
            np.testing.assert_array_equal(store.label(case.id), np.asarray(label.dataobj))
            np.testing.assert_allclose(case.affine, image.affine)
            assert case.spacing == pytest.approx(image.header.get_zooms())

            new = turned[2 * number]
            prepared, _, new_affine = prepare_image(
                np.asarray(new.dataobj)[None],
                new.header.get_zooms(),
                new.affine,
                dataset,
                orientation=store.manifest.orientation,
            )
            np.testing.assert_array_equal(prepared, store.image(case.id))
            back = restore_label(np.array(store.label(case.id)), new_affine, new.shape, new.affine)
            np.testing.assert_array_equal(back, np.asarray(turned[2 * number + 1].dataobj))


def test_one_oblique_scan_goes_by_its_nearest_axes(tmp_path):
    for number in range(3):
        save_case(tmp_path / "source", f"s{number}", number)
    angle = np.deg2rad(20)
    oblique = np.eye(4)
    oblique[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    flipped = oblique @ np.diag([-1.0, 1, 1, 1])
    save_case(tmp_path / "source", "o", 5, oblique)
    save_case(tmp_path / "source", "f", 6, flipped)
    store = Store.open(prepare(folder(tmp_path / "source", normalisation="none"), tmp_path))
    assert store.manifest.orientation == "RAS"
    np.testing.assert_array_equal(store.image("o")[0], noise(5))
    np.testing.assert_array_equal(store.image("f")[0], noise(6)[::-1])


def test_what_cannot_be_turned_is_told(tmp_path):
    for number in range(3):
        save_case(tmp_path / "source", f"s{number}", number)
    with pytest.raises(UserError, match="case 's0': is 3D, but orientation RA is of 2"):
        prepare(folder(tmp_path / "source", orientation="RA"), tmp_path)
    with pytest.raises(ValueError, match="names an axis twice"):
        folder(tmp_path, orientation="RLS")


# ---- outliers ------------------------------------------------------------------------------------


def test_what_is_far_from_the_others():
    usual = {f"c{number}": 1.0 + 0.05 * (number % 3) for number in range(9)}
    assert far(usual, 2.0) == []
    assert far(usual | {"big": 2.5, "small": 0.3}, 2.0) == ["big", "small"]
    assert far({"a": 1.0, "b": 100.0}, 2.0) == []  # which of two is far?
    wide = {f"c{number}": 2.0**number for number in range(9)}
    assert far(wide, 2.0) == []


def test_the_summary_names_outliers(tmp_path):
    for number in range(6):
        affine = np.diag([1.0, 1.0, 5.0 if number == 2 else 1.0, 1.0])
        save_case(tmp_path / "source", f"s{number}", number, affine)
    save(tmp_path / "source" / "images" / "s4.nii.gz", noise(4) * 1000)
    lines = (prepare(folder(tmp_path / "source"), tmp_path) / "summary.md").read_text()
    assert "case 's2': largest voxel side 5 mm, usually 1 mm" in lines
    assert "case 's4': range of intensities" in lines
    assert lines.count("case '") == 2 and max(map(len, lines.splitlines())) <= 100


# ---- workers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_dies_costs_its_own_case_alone(count):
    cases = [
        RawCase(case_id, "train", True, dict) for case_id in ("a", "segv", "b", "c", "kill", "d")
    ]
    with Workers(count) as processes:
        found = processes.map(fatal, cases, "try", may_crash=True)
        results = {case.id: it for case, it in found}
    assert [results[it] for it in "abcd"] == ["A", "B", "C", "D"]
    assert isinstance(results["segv"], Died) and "crashed (SIGSEGV)" in results["segv"].reason
    assert "memory" not in results["segv"].reason and "memory" in results["kill"].reason


def test_all_passes_over_the_cases_share_their_workers(tmp_path, monkeypatch):
    """Labels are read, cases prepared, those with other axes once more: each by both workers."""
    started = []

    class Counted(ProcessPoolExecutor):
        def __init__(self, *arguments, **options):
            started.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Counted)
    for number in range(6):
        turned = np.diag([-1.0, 1.0, 1.0, 1.0]) if number in (1, 4) else None
        save_case(tmp_path / "source", f"s{number}", number, turned)
    several = Store.open(prepare(folder(tmp_path / "source", test_cases=2), tmp_path / "b", 2))
    assert len(started) == 1
    alone = Store.open(prepare(folder(tmp_path / "source", test_cases=2), tmp_path / "a"))
    assert len(started) == 1 and several.manifest == alone.manifest
    assert {case.affine[0][0] for case in several.cases.values()} == {1.0}
