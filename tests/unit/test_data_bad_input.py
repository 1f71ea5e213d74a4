"""Bad input: one clear line that names the file or the case, before anything is written."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pytest

from ssl_methods.data.importers.decathlon import DecathlonDataset
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.left_atrium import LeftAtriumDataset
from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.preprocessing import prepare_image
from ssl_methods.data.store import Store
from ssl_methods.data.volumes import read_volume
from ssl_methods.errors import UserError

SHAPE = (8, 8, 6)


def noise(shape=SHAPE):
    return np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)


def box(shape=SHAPE, dtype=np.uint8):
    label = np.zeros(shape, dtype)
    label[2:5, 2:5] = 1
    return label


def save(path: Path, array, affine=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


@pytest.fixture
def source(tmp_path) -> Path:
    """images/ and labels/ of three good cases; each test spoils one."""
    folder = tmp_path / "source"
    for number, case_id in enumerate("abc"):
        save(folder / "images" / f"{case_id}.nii.gz", noise() + number)
        save(folder / "labels" / f"{case_id}.nii.gz", box())
    return folder


def folder_dataset(folder: Path | None, **changes) -> FolderDataset:
    return FolderDataset(**{"name": "mine", "importer": "folder", "path": folder} | changes)


def fault(folder: Path, **changes) -> str:
    """The message that preparing this folder ends with; nothing is left behind."""
    results = Path(str(folder) + ".results")
    with pytest.raises(UserError) as raised:
        prepare(folder_dataset(folder, **changes), results)
    assert not list(results.rglob("manifest.json")) and not list(results.rglob("*.npy"))
    return str(raised.value)


def test_the_good_cases_are_good(source, tmp_path):
    assert len(Store.open(prepare(folder_dataset(source), tmp_path)).cases) == 3


# ---- files ---------------------------------------------------------------------------------------


def test_no_path_and_a_path_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"mine: dataset\.path is missing"):
        prepare(folder_dataset(None), tmp_path)
    assert f"{tmp_path / 'nowhere'} is not a folder" in fault(tmp_path / "nowhere")


def test_nothing_in_the_folder(tmp_path):
    assert f"{tmp_path / 'images'}: no such folder" in fault(tmp_path)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    assert f"mine: no cases found in {tmp_path}" in fault(tmp_path)


def test_a_label_without_an_image(source):
    (source / "images" / "b.nii.gz").unlink()
    message = fault(source)
    assert f"{source / 'labels' / 'b.nii.gz'}: a label without an image" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("kind", ["images", "labels"])
@pytest.mark.parametrize("content, words", [(b"", "is empty"), (b"rubbish", "cannot be read")])
def test_an_empty_or_broken_file(source, kind, content, words):
    path = source / kind / "b.nii.gz"
    path.write_bytes(content)
    message = fault(source)
    assert message.startswith(f"case 'b': {path}: {words}") and len(message.splitlines()) == 1


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    if suffix == ".nrrd":
        nrrd.write(str(path), noise(), {"spacings": [1.0, 1.0, 1.0]})
    else:
        save(path, noise())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=r"cannot be read, it may be truncated"):
        read_volume(path)


def test_a_file_without_a_voxel_size_or_of_another_kind(tmp_path):
    nrrd.write(str(tmp_path / "a.nrrd"), noise())
    with pytest.raises(UserError, match=r"a\.nrrd: .*neither 'space directions' nor 'spacings'"):
        read_volume(tmp_path / "a.nrrd")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UserError, match="neither NIfTI, NRRD, MetaImage nor a picture"):
        read_volume(tmp_path / "a.txt")
    with pytest.raises(UserError, match="no such file"):
        read_volume(tmp_path / "b.nii")


def test_the_same_id_twice(source):
    save(source / "images" / "b.nii", noise())
    assert "case id 'b' is also that of b.nii" in fault(source)


# ---- voxels --------------------------------------------------------------------------------------


def spoilt(value: float, count: int = 1):
    image = noise()
    image.flat[:count] = value
    return image


@pytest.mark.parametrize(
    "image, words",
    [
        (spoilt(np.nan), "the image has 1 voxels that are NaN or infinite"),
        (spoilt(-np.inf, 3), "the image has 3 voxels"),
        (np.full(SHAPE, 7, np.float32), "channel 0 of the image is constant (every voxel is 7)"),
    ],
)
def test_an_image_that_cannot_be_used(source, image, words):
    save(source / "images" / "c.nii.gz", image)
    message = fault(source)
    assert message.startswith("case 'c': ") and words in message


def labelled(value, dtype=np.float32):
    label = box(dtype=dtype)
    label[3, 3, 3] = value
    return label


@pytest.mark.parametrize(
    "label, words",
    [
        (labelled(0.5), "1 of 384 voxels are not whole numbers (0.5)"),
        (labelled(np.nan), "not whole numbers"),
        (labelled(-1), "unexpected values (-1)"),
        (labelled(3), "unexpected values (3); declared: 0, 1, 2"),
    ],
)
def test_a_label_with_unexpected_values(source, label, words):
    (source / "classes.txt").write_text("front\nback\n")
    save(source / "labels" / "a.nii.gz", label)
    for classes in ("merged", "separate"):
        message = fault(source, classes=classes)
        assert message.startswith("case 'a': ") and words in message


def test_shapes_that_differ(source):
    save(source / "labels" / "a.nii.gz", box((8, 8, 7)))
    assert "a.nii.gz: its shape (8, 8, 7) differs from (8, 8, 6)" in fault(source)


@pytest.mark.parametrize("affine", [np.diag([1.0, 1, 3, 1]), np.diag([-1.0, 1, 1, 1])])
def test_geometry_that_differs(source, affine):
    save(source / "labels" / "a.nii.gz", box(), affine)
    assert "mm away from a.nii.gz (spacing, origin or orientation differ)" in fault(source)


def test_geometry_that_differs_by_rounding_passes(source, tmp_path):
    save(source / "labels" / "a.nii.gz", box(), np.diag([1.001, 1, 1, 1]))
    prepare(folder_dataset(source), tmp_path)


def test_a_mix_of_dimensions_or_channels(source):
    save(source / "images" / "b.nii.gz", noise((*SHAPE, 2)))
    message = fault(source)
    assert message == "mine: case 'b' is 3D with 2 channel(s); most are 3D with 1"
    save(source / "images" / "b.nii.gz", noise(SHAPE[:2]))
    save(source / "labels" / "b.nii.gz", np.eye(8, dtype=np.uint8))
    assert "mine: case 'b' is 2D" in fault(source)


def test_spacing_for_other_dimensions(source):
    assert "case 'a': is 3D, but dataset.spacing has 2 numbers" in fault(source, spacing=(1.0, 1.0))


def test_a_crop_with_a_label_that_is_not_there(source):
    (source / "labels" / "b.nii.gz").unlink()
    assert "case 'b': has no label to crop with" in fault(source, crop="label")
    with pytest.raises(UserError, match="has no label to crop with"):
        prepare_image(noise()[None], (1, 1, 1), None, folder_dataset(source, crop="label"))


def test_all_faults_are_told_at_once_and_at_most_ten(source):
    for index in range(13):
        save(source / "images" / f"x{index:02d}.nii.gz", np.zeros(SHAPE, np.float32))
    lines = fault(source).splitlines()
    assert len(lines) == 11 and lines[0].startswith("case 'x00': ") and "more" in lines[-1]


def test_faults_are_told_by_workers_too(source, tmp_path):
    save(source / "images" / "b.nii.gz", np.zeros(SHAPE, np.float32))
    with pytest.raises(UserError, match=r"^case 'b': channel 0 of the image is constant"):
        prepare(folder_dataset(source), tmp_path, workers=2)


def test_a_label_without_foreground_is_legitimate_and_warned_of(source, tmp_path, caplog):
    save(source / "labels" / "b.nii.gz", np.zeros(SHAPE, np.uint8))
    with caplog.at_level(logging.WARNING):
        store = Store.open(prepare(folder_dataset(source, crop="label"), tmp_path))
    assert [record.getMessage() for record in caplog.records] == [
        "mine: case 'b' has a label without foreground"
    ]
    assert store.cases["b"].labeled and store.cases["b"].foreground_voxels == [0]
    assert store.cases["b"].shape == SHAPE


# ---- the test set --------------------------------------------------------------------------------


def test_a_test_set_that_cannot_be(source):
    assert "declares no test set; set dataset.test_cases" in fault(source, test_cases=0)
    assert "test_cases 3 leaves no labeled training case: 3 cases" in fault(source, test_cases=3)
    (source / "test.list").write_text("a\nz\n")
    assert "test.list: test case 'z' has no image" in fault(source)
    (source / "test.list").write_text("")
    assert "test.list: names no case" in fault(source)
    (source / "test.list").write_text("a\n")
    (source / "labels" / "a.nii.gz").unlink()
    assert "test.list: test case 'a' has no label" in fault(source)
    (source / "test.list").write_text("a\nb\nc\n")
    save(source / "labels" / "a.nii.gz", box())
    assert "mine: there is no training case" in fault(source)


def test_no_labels_at_all(source):
    for path in (source / "labels").iterdir():
        path.unlink()
    assert "mine: none of its 3 cases has a label" in fault(source)


# ---- decathlon -----------------------------------------------------------------------------------


def decathlon_fault(folder: Path, **changes) -> str:
    """The message for a dataset.json of one case, changed."""
    if not (folder / "imagesTr").exists():
        save(folder / "imagesTr" / "a.nii.gz", noise())
        save(folder / "labelsTr" / "a.nii.gz", box())
    good = {
        "labels": {"0": "background", "1": "liver"},
        "training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}],
    }
    description = {key: value for key, value in (good | changes).items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(UserError) as raised:
        prepare(DecathlonDataset(name="msd", importer="decathlon", path=folder), folder / "results")
    return str(raised.value)


def test_a_file_that_dataset_json_lists_and_is_missing(tmp_path):
    entry = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/b.nii.gz"}
    message = decathlon_fault(tmp_path, training=[entry])
    assert f"the label {tmp_path / 'labelsTr/b.nii.gz'} is listed but missing" in message
    message = decathlon_fault(tmp_path, test=["imagesTs/z.nii.gz"])
    assert f"the image {tmp_path / 'imagesTs/z.nii.gz'} is listed but missing" in message


def test_faults_of_dataset_json(tmp_path):
    entry = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    assert "case id 'a' occurs more than once" in decathlon_fault(tmp_path, training=[entry] * 2)
    assert "a label without an image" in decathlon_fault(
        tmp_path, training=[{"image": "imagesTr/a.nii.gz"}]
    )
    assert "has no 'labels'" in decathlon_fault(tmp_path, labels=None)
    assert "names no foreground class" in decathlon_fault(tmp_path, labels={"0": "background"})
    regions = {"background": 0, "whole": [1, 2], "core": [2]}
    assert "'whole' and 'core' are overlapping regions (both hold 2)" in decathlon_fault(
        tmp_path, labels=regions
    )
    assert "'ignore' label is not supported" in decathlon_fault(
        tmp_path, labels={"background": 0, "liver": 1, "ignore": 2}
    )
    assert "neither 'training'" in decathlon_fault(tmp_path, training=None)
    assert "expected the path of an image" in decathlon_fault(tmp_path, training=[{"scan": "a"}])
    assert "leaves no labeled training case" in decathlon_fault(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: is not valid JSON"):
        prepare(DecathlonDataset(name="m", importer="decathlon", path=tmp_path), tmp_path)


def test_a_hidden_file_is_no_case(tmp_path):
    save(tmp_path / "imagesTr" / ".a.nii.gz", noise())
    message = decathlon_fault(tmp_path, training=[{"image": "imagesTr/.a.nii.gz"}])
    assert "imagesTr/.a.nii.gz is not one of" in message


def test_a_channel_that_is_missing(tmp_path):
    save(tmp_path / "imagesTr" / "a_0000.nii.gz", noise())
    save(tmp_path / "labelsTr" / "a.nii.gz", box())
    channels = {"0": "T1", "1": "T2"}
    message = decathlon_fault(tmp_path, training=None, channel_names=channels)
    assert "case 'a': channels 0000; expected 0000, 0001" in message


# ---- left atrium ---------------------------------------------------------------------------------


def left_atrium_fault(folder: Path, names: str = "A\n") -> str:
    (folder / "train.list").write_text(names)
    (folder / "test.list").write_text("B\n")
    for case_id in "AB":
        path = folder / case_id / "mri_norm2.h5"
        if not path.exists():
            path.parent.mkdir()
            with h5py.File(path, "w") as file:
                file["image"], file["label"] = noise(), box()
    with pytest.raises(UserError) as raised:
        prepare(
            LeftAtriumDataset(name="la", importer="left_atrium", path=folder), folder / "results"
        )
    return str(raised.value)


def test_faults_of_the_left_atrium_set(tmp_path):
    path = tmp_path / "A" / "mri_norm2.h5"
    assert "train.list: case 'C' has no file" in left_atrium_fault(tmp_path, "A\nC\n")
    assert "train.list: names 'A' more than once" in left_atrium_fault(tmp_path, "A\nA\n")
    assert "test.list both name 'B'" in left_atrium_fault(tmp_path, "A\nB\n")
    assert "case id 'A/../A' cannot be a folder's name" in left_atrium_fault(tmp_path, "A/../A\n")
    assert "names no case" in left_atrium_fault(tmp_path, "\n")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert f"{path}: cannot be read, it may be truncated" in left_atrium_fault(tmp_path)
    path.write_bytes(b"")
    assert f"{path}: cannot be read" in left_atrium_fault(tmp_path)
    with h5py.File(path, "w") as file:
        file["image"] = noise()
    assert f"{path}: has no 'label' (keys: image)" in left_atrium_fault(tmp_path)
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = noise(), box((8, 8, 7))
    assert f"{path}: image (8, 8, 6) and label (8, 8, 7) differ" in left_atrium_fault(tmp_path)
    (tmp_path / "train.list").unlink()
    with pytest.raises(UserError, match=r"train\.list: cannot be read"):
        prepare(LeftAtriumDataset(name="la", importer="left_atrium", path=tmp_path), tmp_path)


# ---- the results ---------------------------------------------------------------------------------


def test_results_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    dataset = PhantomDataset(
        name="ph", importer="phantom", shape=(8, 8), train_cases=1, test_cases=1
    )
    with pytest.raises(UserError, match="cannot be written"):
        prepare(dataset, tmp_path / "results")
