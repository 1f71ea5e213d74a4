"""What prepare shows: the table and the contact sheet, against what the scans hold."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.data.summary import _markdown, shown


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Seven cases, two of them unlabeled, one label empty; two classes; one stray file."""
    folder, rng = tmp_path / "source", np.random.default_rng(0)
    for number in range(7):
        label = np.zeros((20, 10, 6), np.uint8)
        if number != 4:
            label[2:12, 2:7, 1:5] = 3
            label[5:7, 3:5, 2:4] = 8
        image = rng.normal(size=label.shape).astype(np.float32)
        for kind, array in (("images", image), ("labels", label)):
            if kind == "labels" and number > 4:
                continue
            (folder / kind).mkdir(parents=True, exist_ok=True)
            saved = nibabel.Nifti1Image(array, np.diag([-1.0, -1.0, 2.0, 1.0]))
            nibabel.save(saved, folder / kind / f"s{number}.nii")
    (folder / "notes.doc").write_bytes(b"x")
    return folder


def rows(text: str) -> list[tuple[str, str]]:
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [(what.strip(), found.strip()) for what, found in cells]


def test_the_table_says_what_the_scans_hold(source, tmp_path):
    dataset = FolderDataset(
        name="mine",
        importer="folder",
        path=source,
        ignore=("*.doc",),
        test_cases=2,
        spacing=(2.0, 2.0, 2.0),
    )
    folder = prepare(dataset, tmp_path)
    text = (folder / "summary.md").read_text()
    assert max(map(len, text.splitlines())) <= 100
    table = dict(rows(text))
    assert table["cases"].startswith(
        "7: 5 for training (3 labeled, 2 unlabeled), 2 for testing; 3D"
    )
    assert table["test set"].startswith("drawn from the labeled cases (test_cases: 2")
    assert (
        table["label values"] == "3 is class 'label_3'; 8 is class 'label_8' (found in the labels)"
    )
    store = Store.open(folder)
    assert table["volume"].startswith("'label_3' in 4 of 5 labels: ")
    volume = np.median([it.foreground_voxels[0] for it in store.manifest.cases[:4]]) * 8 / 1000
    assert f"{volume:.4g} ml" in table["volume"]
    assert table["spacing"] == "1 x 1 x 2 mm; resampled to 2 x 2 x 2 mm"
    assert table["axes"] == "LPS"
    assert table["shape"] == "20 x 10 x 6; prepared 10 x 5 x 6"
    assert table["ignored"] == "1 file (dataset.ignore): notes.doc"
    assert ("look at", "labels without foreground: s4") in rows(text)


def test_a_merged_data_set_and_a_declared_test_set(source, tmp_path):
    (source / "test.list").write_text("s0\ns1\n")
    (source / "classes.txt").write_text("3 liver\n8 tumour\n9 vessel\n")
    dataset = FolderDataset(
        name="mine", importer="folder", path=source, ignore=("*.doc",), classes="merged"
    )
    table = dict(rows((prepare(dataset, tmp_path) / "summary.md").read_text()))
    assert table["test set"] == "declared by the source"
    assert "3, 8, 9 are merged into one class (classes: merged) (declared)" in table["label values"]
    assert "in no label: 9" in table["label values"]


def test_smaller_than_the_patch_and_the_picture_once(source, tmp_path):
    dataset = FolderDataset(name="mine", importer="folder", path=source, ignore=("*.doc",))
    store = Store.open(prepare(dataset, tmp_path))
    assert "0 of 7 cases are smaller than the patch (20 x 10 x 6)" in shown(store, (20, 10, 6))
    assert "7 of 7 cases are smaller than the patch (16 x 16 x 4) and are padded: s0" in shown(
        store, (16, 16, 4)
    )
    picture = store.folder / "summary.png"
    drawn = picture.stat()
    assert shown(store).splitlines()[-1] == f"picture: {picture}"
    assert picture.stat() == drawn


def test_a_contact_sheet_shows_outlines_on_labeled_cases_alone(tmp_path):
    dataset = PhantomDataset(
        name="ph", importer="phantom", shape=(24, 20), train_cases=30, test_cases=2
    )
    store = Store.open(prepare(dataset, tmp_path))
    shown(store)
    labeled = np.asarray(Image.open(store.folder / "summary.png").convert("RGB")).astype(int)
    assert (np.ptp(labeled, axis=2) > 60).any()  # outlines are the only colour
    assert (
        labeled.shape[1] == 1200 and labeled.shape[0] == 4 * 228 + 18
    )  # 24 of 32, six in a row; names


def turned_source(folder: Path, codes: list[str]) -> None:
    """One body, its right front bright, in scans along several axes; slices of 1 and 2 classes."""
    image = np.zeros((40, 40, 10), np.float32)
    image[25:39, 25:39] = 100  # along RAS: right and anterior
    label = np.zeros(image.shape, np.uint8)
    label[2:6, 2:6, 1:9] = 1
    label[10:14, 2:6, 7] = 2
    for number, code in enumerate(codes):
        noise = np.random.default_rng(number).normal(0, 1, image.shape).astype(np.float32)
        for kind, array in (("images", image + noise), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            saved = nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 3.0, 1.0]))
            own = nibabel.orientations.axcodes2ornt(code)
            turned = saved.as_reoriented(
                nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), own)
            )
            nibabel.save(turned, folder / kind / f"s{number}.nii")


def test_sizes_are_said_along_the_axes_as_prepared(tmp_path):
    """Three scans of one shape in three orders of axes: one shape, one spacing."""
    turned_source(tmp_path / "mixed", ["RAS", "RAS", "LSA", "SPR"])
    dataset = FolderDataset(name="mine", importer="folder", path=tmp_path / "mixed")
    table = rows((prepare(dataset, tmp_path) / "summary.md").read_text())
    found = dict(reversed(table))
    assert found["spacing"] == "1 x 1 x 3 mm"
    assert found["shape"] == "40 x 40 x 10"
    assert found["axes"] == "RAS (2), LSA (1), SPR (1); turned to RAS: s2, s3"
    assert found["volume"] == "'label_1' in 4 of 4 labels: 0.384 ml"


@pytest.mark.parametrize("angle", [0.5, 20.0])
def test_oblique_scans_are_named_with_their_angle(tmp_path, angle):
    turned_source(tmp_path / "mixed", ["LPS", "LPS", "LPS"])
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    for kind in ("images", "labels"):
        path = tmp_path / "mixed" / kind / "s1.nii"
        old = nibabel.load(path)
        tilt = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
        nibabel.save(
            nibabel.Nifti1Image(np.array(np.asarray(old.dataobj)), tilt @ old.affine), path
        )
    dataset = FolderDataset(name="mine", importer="folder", path=tmp_path / "mixed")
    axes = dict(rows((prepare(dataset, tmp_path) / "summary.md").read_text()))["axes"]
    said = "; oblique, by 20 degrees, and left so: s1"
    assert axes == "LPS" + said * (angle > 1)


@pytest.mark.parametrize("before", range(20))
def test_a_size_stays_on_one_line(before):
    """Wherever a line ends, it does not end within a size."""
    sizes = ", ".join(["12 x 3.5 x 4 (1)"] * 12)
    found = [it for _, it in rows(_markdown([("spacing", f"{'y' * before} {sizes} mm")]))[2:]]
    assert len(found) > 2
    assert not any(it.startswith("x ") or it.endswith(" x") for it in found)
    assert " ".join(found).split() == f"{'y' * before} {sizes} mm".split()


@pytest.mark.parametrize("code", ["RAS", "LPS", "LAS", "RPI"])
def test_the_picture_lies_as_in_radiology_and_where_most_classes_are(tmp_path, code):
    """Right is left and front is up, along whatever axes; the slice is the one with two classes."""
    turned_source(tmp_path / "mixed", [code] * 3)
    dataset = FolderDataset(name="mine", importer="folder", path=tmp_path / "mixed")
    store = Store.open(prepare(dataset, tmp_path))
    shown(store)
    sheet = np.asarray(Image.open(store.folder / "summary.png").convert("RGB")).astype(int)
    slice_ = sheet[33 : 33 + 190, 5 : 5 + 190]
    coloured = np.ptp(slice_, axis=2) > 60
    bright = (slice_.min(axis=2) > 200) & ~coloured
    rows_, columns = np.nonzero(bright)
    assert len(rows_) > 1000
    assert np.median(rows_) < 95 and np.median(columns) < 95
    colours = {tuple(it) for it in slice_[coloured]}
    assert colours == {(255, 127, 14), (31, 119, 180)}
    names = sheet[228:].reshape(-1, 3)
    assert np.ptp(names, axis=1).max() > 100  # the names are in colour
