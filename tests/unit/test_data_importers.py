"""Importers: every layout into the same store; classes, channels, geometry and test sets."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from ssl_methods.data.importers.decathlon import DecathlonDataset
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.left_atrium import LeftAtriumDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.data.volumes import read_label_volume, read_volume
from ssl_methods.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SHAPE = (9, 8, 7)
AFFINE = np.array([[0.0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])


def noise(seed: int = 0, shape=SHAPE):
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def box(value: int = 1, shape=SHAPE, dtype=np.uint8):
    label = np.zeros(shape, dtype)
    label[2:5, 2:5, 2:5] = value
    return label


def save(path: Path, array, affine=AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def splits(dataset) -> dict[str, str]:
    return {case.id: case.split for case in read_source(dataset).cases}


# ---- volumes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_keeps_axes_values_and_geometry(tmp_path, suffix):
    image = noise()
    save(tmp_path / f"a{suffix}", image)
    volume = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.image, image[np.newaxis])
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert volume.spacing == pytest.approx((1.5, 2.0, 3.0))


def test_nifti_channels_are_last_in_the_file_and_first_here(tmp_path):
    image = noise(shape=(*SHAPE, 2))
    save(tmp_path / "a.nii", image)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").image, np.moveaxis(image, -1, 0))


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1)])
def test_nifti_of_two_dimensions(tmp_path, shape):
    save(tmp_path / "a.nii", noise(shape=shape))
    volume = read_volume(tmp_path / "a.nii")
    assert volume.image.shape == (1, 9, 8) and volume.spacing == pytest.approx((1.5, 2.0))


def test_nifti_scaling_and_units_are_applied(tmp_path):
    image = nibabel.Nifti1Image(
        np.arange(24, dtype=np.int16).reshape(4, 3, 2), np.diag([10, 20, 30, 1])
    )
    image.header.set_slope_inter(2.0, 5.0)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.image[0], image.get_fdata() * 2 + 5)
    assert volume.spacing == pytest.approx((0.01, 0.02, 0.03))


def write_with_itk(path: Path, array, affine) -> None:
    """ITK arrays are (z, y, x), its world is LPS."""
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr"])
def test_nrrd_as_itk_writes_it_equals_nifti_as_itk_writes_it(tmp_path, suffix):
    image = noise()
    write_with_itk(tmp_path / f"a{suffix}", image, AFFINE)
    write_with_itk(tmp_path / "a.nii.gz", image, AFFINE)
    ours, nifti = read_volume(tmp_path / f"a{suffix}"), read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(ours.image, image[np.newaxis])
    np.testing.assert_array_equal(nifti.image, image[np.newaxis])
    np.testing.assert_allclose(ours.affine, AFFINE, atol=1e-5)
    np.testing.assert_allclose(ours.affine, nifti.affine, atol=1e-5)


def test_nrrd_channels_and_two_dimensions(tmp_path):
    image = noise(shape=(2, *SHAPE))
    nan = [np.nan] * 3
    header = {
        "space": "left-posterior-superior",
        "space directions": np.array([nan, [1, 0, 0], [0, 2, 0], [0, 0, 3]]),
        "space origin": [1.0, 2.0, 3.0],
    }
    nrrd.write(str(tmp_path / "a.nrrd"), image, header)
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.image, image)
    assert volume.affine.tolist() == [[-1, 0, 0, -1], [0, -2, 0, -2], [0, 0, 3, 3], [0, 0, 0, 1]]

    nrrd.write(str(tmp_path / "b.nrrd"), noise(shape=(6, 5)), {"spacings": [0.5, 0.25]})
    volume = read_volume(tmp_path / "b.nrrd")
    assert volume.image.shape == (1, 6, 5) and volume.spacing == (0.5, 0.25)


def test_a_label_has_one_channel(tmp_path):
    save(tmp_path / "a.nii", noise(shape=(*SHAPE, 2)))
    with pytest.raises(UserError, match=r"a\.nii: a label must have one channel, this has 2"):
        read_label_volume(tmp_path / "a.nii")


# ---- decathlon -----------------------------------------------------------------------------------


def decathlon(folder: Path, **changes) -> DecathlonDataset:
    return DecathlonDataset(**{"name": "msd", "importer": "decathlon", "path": folder} | changes)


def write_decathlon(folder: Path, count: int = 5, channels: int = 1, unlabeled: int = 0) -> None:
    shape = SHAPE if channels == 1 else (*SHAPE, channels)
    for index in range(count):
        save(folder / "imagesTr" / f"c{index}.nii.gz", noise(index, shape))
        label = box(1)
        label[6:8] = 4
        save(folder / "labelsTr" / f"c{index}.nii.gz", label)
    for index in range(unlabeled):
        save(folder / "imagesTs" / f"u{index}.nii.gz", noise(99 + index, shape))
    (folder / "imagesTr" / "._c0.nii.gz").write_bytes(b"left by another system")
    description = {
        "labels": {"0": "background", "1": "front", "4": "back"},
        "training": [
            {"image": f"./imagesTr/c{it}.nii.gz", "label": f"./labelsTr/c{it}.nii.gz"}
            for it in range(count)
        ],
        "test": [f"./imagesTs/u{it}.nii.gz" for it in range(unlabeled)],
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def test_decathlon_merged_and_separate(tmp_path):
    write_decathlon(tmp_path / "source", unlabeled=2)
    store = Store.open(prepare(decathlon(tmp_path / "source", classes="merged"), tmp_path))
    assert store.classes == ["foreground"] and store.label_values == [[1, 4]]
    assert len(store.ids("test")) == 1 and len(store.ids("train")) == 6
    assert not store.cases["u0"].labeled and store.cases["u0"].split == "train"
    assert store.cases["u0"].label_sha256 is None
    assert np.unique(store.label("c0")).tolist() == [0, 1]
    np.testing.assert_allclose(store.cases["c0"].affine, AFFINE)
    with pytest.raises(UserError, match="'u0' has no label"):
        store.label("u0")

    store = Store.open(prepare(decathlon(tmp_path / "source"), tmp_path))
    assert store.classes == ["front", "back"] and store.label_values == [[1], [4]]
    assert store.cases["c0"].foreground_voxels == [27, 2 * 8 * 7]
    assert (store.label("c0")[6:8] == 2).all()


def test_decathlon_channels(tmp_path):
    write_decathlon(tmp_path / "source", channels=3)
    store = Store.open(prepare(decathlon(tmp_path / "source", normalisation="none"), tmp_path))
    assert store.channels == 3
    np.testing.assert_array_equal(store.image("c2"), np.moveaxis(noise(2, (*SHAPE, 3)), -1, 0))


def test_the_test_set_is_drawn_once_for_good(tmp_path):
    write_decathlon(tmp_path, count=10)
    drawn = splits(decathlon(tmp_path))
    assert sum(split == "test" for split in drawn.values()) == 2
    assert drawn == splits(decathlon(tmp_path, spacing=(2, 2, 2), classes="separate"))
    assert drawn != splits(decathlon(tmp_path, split_seed=1))
    assert sum(split == "test" for split in splits(decathlon(tmp_path, test_cases=4)).values()) == 4


def write_nnunet(folder: Path, test_labels: bool) -> None:
    for part, ids in (("Tr", "ab"), ("Ts", "c")):
        for case_id in ids:
            for channel in range(2):
                path = folder / f"images{part}" / f"case_{case_id}_{channel:04d}.nii.gz"
                save(path, noise(ord(case_id) + channel))
    save(folder / "labelsTr" / "case_a.nii.gz", box(2))
    if test_labels:
        save(folder / "labelsTs" / "case_c.nii.gz", box(1))
    description = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def test_nnunet_layout(tmp_path):
    write_nnunet(tmp_path / "source", test_labels=True)
    dataset = decathlon(tmp_path / "source", classes="separate", normalisation="none")
    store = Store.open(prepare(dataset, tmp_path))
    assert store.classes == ["liver", "tumour"] and store.channels == 2
    assert store.ids("train") == ["case_a", "case_b"] and store.ids("test") == ["case_c"]
    assert [case.labeled for case in store.manifest.cases] == [True, False, True]
    assert store.cases["case_a"].foreground_voxels == [0, 27]
    np.testing.assert_array_equal(store.image("case_b")[1], noise(ord("b") + 1))


def test_nnunet_test_images_without_labels_are_unlabeled_training_cases(tmp_path):
    write_nnunet(tmp_path, test_labels=False)
    save(tmp_path / "labelsTr" / "case_b.nii.gz", box())
    found = splits(decathlon(tmp_path, test_cases=1))
    assert sorted(found) == ["case_a", "case_b", "case_c"]
    assert found["case_c"] == "train" and sorted(found.values()) == ["test", "train", "train"]


# ---- left atrium ---------------------------------------------------------------------------------


def write_left_atrium(folder: Path, train: int = 3, test: int = 2) -> LeftAtriumDataset:
    ids = {"train": [f"T{it}" for it in range(train)], "test": [f"E{it}" for it in range(test)]}
    for split, names in ids.items():
        for number, name in enumerate(names):
            (folder / name).mkdir(parents=True)
            with h5py.File(folder / name / "mri_norm2.h5", "w") as file:
                file.create_dataset("image", data=noise(number), compression="gzip")
                file.create_dataset("label", data=box(), compression="gzip")
        if names:
            (folder / f"{split}.list").write_text("\n".join(names) + "\n\n")
    return LeftAtriumDataset(name="la", importer="left_atrium", path=folder)


def test_left_atrium(tmp_path):
    store = Store.open(prepare(write_left_atrium(tmp_path / "source"), tmp_path))
    assert store.ids("train") == ["T0", "T1", "T2"] and store.ids("test") == ["E0", "E1"]
    assert store.cases["T0"].spacing == (0.625,) * 3 and store.cases["T0"].affine is None
    assert store.manifest.crop_used_label
    np.testing.assert_array_equal(store.label("T1"), box())
    np.testing.assert_allclose(
        store.image("T1")[0], (noise(1) - noise(1).mean()) / noise(1).std(), atol=1e-5
    )


def test_left_atrium_without_a_test_list_draws_one_if_asked(tmp_path):
    dataset = write_left_atrium(tmp_path, train=4, test=0)
    with pytest.raises(UserError, match="declares no test set; set dataset"):
        read_source(dataset)
    found = splits(dataset.model_copy(update={"test_cases": 1}))
    assert sorted(found.values()) == ["test", "train", "train", "train"]


# ---- folder --------------------------------------------------------------------------------------


def folder_dataset(folder: Path, **changes) -> FolderDataset:
    return FolderDataset(**{"name": "mine", "importer": "folder", "path": folder} | changes)


def test_folder_mixes_formats_and_leaves_images_without_a_label_unlabeled(tmp_path):
    source = tmp_path / "source"
    save(source / "images" / "a.nii.gz", noise(0))
    save(source / "labels" / "a.nii.gz", box(5))
    save(source / "images" / "u.nii", noise(1))
    for kind, array in (("images", noise(2)), ("labels", box(5, dtype=np.int16))):
        write_with_itk(source / kind / "n.nrrd", array, AFFINE)
    (source / "images" / "readme.txt").write_text("not a scan")
    (source / "test.list").write_text("n\n")
    store = Store.open(prepare(folder_dataset(source), tmp_path))
    assert store.ids("train") == ["a", "u"] and store.ids("test") == ["n"]
    assert [store.cases[it].labeled for it in "aun"] == [True, False, True]
    np.testing.assert_array_equal(store.label("n"), box())
    np.testing.assert_allclose(store.cases["n"].affine, store.cases["a"].affine, atol=1e-5)


def test_folder_of_named_classes(tmp_path):
    source = tmp_path / "source"
    for case_id in "ab":
        save(source / "images" / f"{case_id}.nii", noise())
        save(source / "labels" / f"{case_id}.nii", box(2))
    (source / "classes.txt").write_text("liver\ntumour\n")
    store = Store.open(prepare(folder_dataset(source, classes="separate", test_cases=1), tmp_path))
    assert store.classes == ["liver", "tumour"]
    assert store.cases["a"].foreground_voxels == [0, 27]


def test_folder_of_images_in_two_dimensions(tmp_path):
    source = tmp_path / "source"
    for case_id in "abc":
        save(source / "images" / f"{case_id}.nii", noise(shape=(12, 10)))
        save(source / "labels" / f"{case_id}.nii", np.eye(12, 10, dtype=np.uint8))
    dataset = folder_dataset(source, spacing=(0.75, 1.0), test_cases=1)
    store = Store.open(prepare(dataset, tmp_path))
    assert store.dimensions == 2 and store.cases["a"].shape == (24, 20)


# ---- the real data sets --------------------------------------------------------------------------


def test_real_hippocampus():
    folder = SHARED / "Task04_Hippocampus"
    if not folder.is_dir():
        pytest.skip("the hippocampus set (shared/data/Task04_Hippocampus) is not here")
    source = read_source(decathlon(folder))
    assert len(source.cases) == 195 and source.classes == {1: "Anterior", 2: "Posterior"}
    assert sum(case.split == "test" for case in source.cases) == 39
    scan = source.cases[0].load()
    assert scan.label is not None and scan.image.shape == (1, *scan.label.shape)
    assert np.unique(scan.label).tolist() == [0, 1, 2] and scan.spacing == (1, 1, 1)


def test_real_left_atrium():
    folder = SHARED / "left_atrium"
    if not folder.is_dir():
        pytest.skip("the left atrium set (shared/data/left_atrium) is not here")
    source = read_source(LeftAtriumDataset(name="la", importer="left_atrium", path=folder))
    counts = [sum(case.split == split for case in source.cases) for split in ("train", "test")]
    assert counts == [80, 20]
    scan = source.cases[0].load()
    assert scan.label is not None and np.unique(scan.label).tolist() == [0, 1]
    # a left atrium holds some tens of millilitres
    assert 15 < scan.label.sum() * 0.625**3 / 1000 < 200
