"""Every file of a data set is used or named: formats, folders, links, lists, nnU-Net's layouts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from ssl_methods.data.importers.decathlon import DecathlonDataset
from ssl_methods.data.importers.folder import FolderDataset, detached
from ssl_methods.data.importers.left_atrium import LeftAtriumDataset
from ssl_methods.data.importers.left_atrium_challenge import LeftAtriumChallengeDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.listing import Listing, files_below
from ssl_methods.data.prepare import prepare, source_fingerprint
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError

SHAPE = (8, 7, 6)


def save(path: Path, seed: int = 0, label: bool = False, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    if label:
        array = np.zeros(SHAPE, np.uint8)
        array[2:5, 2:5, 2:4] = value
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        save(tmp_path / "scans" / "images" / f"{name}.nii.gz", number)
        save(tmp_path / "scans" / "labels" / f"{name}.nii.gz", label=True)
    return tmp_path / "scans"


def folder(path: Path, **changes) -> FolderDataset:
    return FolderDataset(**{"name": "mine", "importer": "folder", "path": path} | changes)


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


STRAY = [
    "images/a.txt",
    "images/series/0001.dcm",
    "images/s/deep/er.nii.gz",
    "labels/notes.xlsx",
    "masks/a.nii.gz",
    "images_T2/a.nii.gz",
    "train.list",
    "a.nii.gz",
    "dataset.json",
]


@pytest.mark.parametrize("name", STRAY)
def test_a_file_without_use_is_named_and_can_be_ignored(scans, name):
    stray = touched(scans / name)
    with pytest.raises(UserError, match="is not used") as raised:
        read_source(folder(scans))
    assert str(stray) in str(raised.value) and len(str(raised.value).splitlines()) == 1
    for pattern in (name, f"*{Path(name).suffix}", name.split("/")[0] if "_" in name else name):
        if pattern == "*.gz":
            continue
        source = read_source(folder(scans, ignore=(pattern,)))
        assert [case.id for case in source.cases] == ["a", "b", "c"]
        assert source.ignored == (stray,)


def test_all_of_them_are_named_at_once_with_orphans_and_twins(scans):
    for name in STRAY[:4]:
        touched(scans / name)
    save(scans / "labels" / "orphan.nii.gz", label=True)
    save(scans / "images" / "b.nii")
    with pytest.raises(UserError) as raised:
        read_source(folder(scans))
    lines = str(raised.value).splitlines()
    assert len(lines) == 6 and sum("is not used" in line for line in lines) == 4
    assert any("orphan.nii.gz: a label without an image" in line for line in lines)
    assert any("case id 'b' is also that of" in line for line in lines)


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "images/.DS_Store", "README.md", "LICENSE", "labels/desktop.ini"]
)
def test_what_is_no_data_is_no_fault(scans, name):
    touched(scans / name)
    assert len(read_source(folder(scans)).cases) == 3


def test_an_ignored_image_is_no_case_and_changes_no_fingerprint(scans):
    dataset = folder(scans, ignore=("images/c.*", "labels/c.*", "old"))
    assert [case.id for case in read_source(dataset).cases] == ["a", "b"]
    before = source_fingerprint(dataset)
    touched(scans / "old" / "c.nii.gz")
    save(scans / "images" / "c.nii.gz", 7)
    assert source_fingerprint(dataset) == before
    save(scans / "images" / "b.nii.gz", 7)
    assert source_fingerprint(dataset) != before


def test_voxels_beside_their_header_belong_to_it(scans):
    image = SimpleITK.GetImageFromArray(np.random.default_rng(5).normal(size=SHAPE[::-1]))
    for suffix in (".mhd", ".nhdr"):
        header = scans / "images" / f"d{suffix}"
        SimpleITK.WriteImage(image, str(header))
        others = [it for it in header.parent.iterdir() if it.stem.startswith("d") and it != header]
        assert len(others) == 1 and detached(header) == others
        source = read_source(folder(scans))
        assert [case.id for case in source.cases] == ["a", "b", "c", "d"]
        for path in (header, *others):
            path.unlink()


def test_channels_of_nnunet_in_a_plain_folder_are_told(scans):
    (scans / "images" / "a.nii.gz").rename(scans / "images" / "a_0000.nii.gz")
    save(scans / "images" / "a_0001.nii.gz", 8)
    with pytest.raises(UserError, match="a_0000 is the name of a channel in nnU-Net"):
        read_source(folder(scans))


# ---- links ---------------------------------------------------------------------------------------


def test_links_are_followed_and_loops_end(scans, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (scans / "labels").rename(elsewhere)
    os.symlink(elsewhere, scans / "labels")
    os.symlink(".", scans / "images" / "x")
    os.symlink("..", scans / "images" / "y")
    os.symlink(scans, elsewhere / "z")
    os.symlink("images", scans / "Images")  # comes before images, and is only a link
    found = [path.relative_to(scans).as_posix() for path in files_below(scans)]
    assert found == [f"{part}/{it}.nii.gz" for part in ("images", "labels") for it in "abc"]
    source = read_source(folder(scans))
    assert [case.labeled for case in source.cases] == [True] * 3


def test_a_broken_link_is_no_absent_file(scans, tmp_path):
    os.symlink(tmp_path / "gone.nii.gz", scans / "images" / "d.nii.gz")
    with pytest.raises(UserError, match=r"case 'd': .*d\.nii\.gz: no such file"):
        prepare(folder(scans), tmp_path)


def test_a_pattern_matches_paths_and_the_folders_above(tmp_path):
    for name in ("a/b/c.txt", "a/d.txt", "e.txt", "f/g.txt"):
        touched(tmp_path / name)

    def left(*ignore: str) -> list[str]:
        return [it.relative_to(tmp_path).as_posix() for it in Listing(tmp_path, ignore).files]

    assert left("a") == left("a/") == left("a/*") == ["e.txt", "f/g.txt"]
    assert left("*/g.txt", "e.*") == ["a/b/c.txt", "a/d.txt"]
    assert left("*.txt") == []


# ---- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\ufeffa\r\nb\r\n", "a  \n\n b\t\n", "a\rb"])
def test_lists_from_any_editor(scans, text):
    (scans / "test.list").write_bytes(text.encode())
    (scans / "classes.txt").write_bytes("\ufeff1 tumour \r\n".encode())
    source = read_source(folder(scans))
    assert [case.split for case in source.cases] == ["test", "test", "train"]
    assert source.classes == {1: "tumour"}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_named(scans, encoding):
    (scans / "test.list").write_bytes("Müller\n".encode(encoding))
    with pytest.raises(UserError, match=r"test\.list: is .*UTF-8"):
        read_source(folder(scans))


# ---- the field's own sets ------------------------------------------------------------------------


def test_left_atrium_names_cases_in_neither_list_and_other_files(tmp_path):
    for case_id in "ABC":
        touched(tmp_path / case_id / "mri_norm2.h5")
    (tmp_path / "train.list").write_text("A\n")
    (tmp_path / "test.list").write_text("B\n")
    touched(tmp_path / "A" / "second.h5")
    dataset = LeftAtriumDataset(name="la", importer="left_atrium", path=tmp_path)
    with pytest.raises(UserError) as raised:
        read_source(dataset)
    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == [
        str(tmp_path / "A" / "second.h5"),
        str(tmp_path / "C" / "mri_norm2.h5"),
    ]
    changed = dataset.model_copy(update={"ignore": ("C", "*/second.h5")})
    assert len(read_source(changed).cases) == 2


def test_the_challenge_names_labels_alone_and_ids_listed_twice(tmp_path):
    for name in ("A/lgemri.nrrd", "A/laendo.nrrd", "B/lgemri.nrrd", "C/laendo.nrrd"):
        touched(tmp_path / name)
    dataset = LeftAtriumChallengeDataset(
        name="lac", importer="left_atrium_challenge", path=tmp_path
    )
    with pytest.raises(UserError, match=r"C/laendo\.nrrd: is not used"):
        read_source(dataset)
    (tmp_path / "train.list").write_text("A\nB\n")
    (tmp_path / "test.list").write_text("B\n")
    with pytest.raises(UserError, match="case 'B' is listed more than once"):
        read_source(dataset)


# ---- nnU-Net -------------------------------------------------------------------------------------


def decathlon(path: Path, description: dict, **changes) -> DecathlonDataset:
    path.mkdir(parents=True, exist_ok=True)
    (path / "dataset.json").write_text(json.dumps(description))
    return DecathlonDataset(name="nn", importer="decathlon", path=path, **changes)


LABELS = {"background": 0, "liver": 1}


def test_nnunet_v1_with_two_channels(tmp_path):
    source, listed = tmp_path / "Task500", []
    for number in range(4):
        for channel in range(2):
            save(source / f"imagesTr/c{number}_{channel:04d}.nii.gz", 10 * number + channel)
        save(source / f"labelsTr/c{number}.nii.gz", label=True)
        listed.append(
            {"image": f"./imagesTr/c{number}.nii.gz", "label": f"./labelsTr/c{number}.nii.gz"}
        )
    description = {
        "modality": {"0": "T1", "1": "T2"},
        "labels": {"0": "background", "1": "liver"},
        "training": listed,
        "test": [],
    }
    store = Store.open(prepare(decathlon(source, description, normalisation="none"), tmp_path))
    assert store.channels == 2 and sorted(store.cases) == ["c0", "c1", "c2", "c3"]
    second = nibabel.load(source / "imagesTr/c3_0001.nii.gz").get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(store.image("c3")[1], second)

    (source / "imagesTr/c3_0001.nii.gz").unlink()
    save(source / "imagesTr/c9_0000.nii.gz")
    with pytest.raises(UserError) as raised:
        read_source(decathlon(source, description))
    assert "c3_0001.nii.gz is listed but missing" in str(raised.value)
    assert "c9_0000.nii.gz: is not used" in str(raised.value)


def nnunet(path: Path, count: int = 5, **changes) -> DecathlonDataset:
    cases = {}
    for number in range(count):
        save(path / f"mr/scan{number}.nii.gz", number)
        save(path / f"seg/s/{number}.nii.gz", label=True)
        cases[f"c{number}"] = {
            "images": [f"mr/scan{number}.nii.gz"],
            "label": f"seg/s/{number}.nii.gz",
        }
    description = {"channel_names": {"0": "MR"}, "labels": LABELS, "dataset": cases}
    return decathlon(path, description, **changes)


def test_nnunet_v2_lists_its_files_anywhere_below(tmp_path):
    dataset = nnunet(tmp_path)
    assert [case.id for case in read_source(dataset).cases] == ["c0", "c1", "c2", "c3", "c4"]
    outside = {"channel_names": {"0": "MR"}, "labels": LABELS}
    outside["dataset"] = {"c": {"images": ["../x.nii.gz"], "label": None}}
    with pytest.raises(UserError, match="is not within"):
        read_source(decathlon(tmp_path, outside))


def test_a_fold_of_nnunet_gives_the_test_set_if_asked(tmp_path):
    dataset = nnunet(tmp_path)
    folds = [
        {"train": ["c0", "c1", "c2"], "val": ["c3", "c4"]},
        {"train": ["c2", "c3"], "val": ["c0"]},
        {"train": ["c0", "c1", "c2", "c3"], "val": ["c4", "c0", "zz"]},
    ]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    assert "splits_final.json is not used" in read_source(dataset).remarks[0]
    with_fold = read_source(dataset.model_copy(update={"fold": 0}))
    assert [case.id for case in with_fold.cases if case.split == "test"] == ["c3", "c4"]
    assert not with_fold.test_drawn
    for fold, words in ((1, "'c1' has a label and is in neither part"), (3, "has no fold 3")):
        with pytest.raises(UserError, match=words):
            read_source(dataset.model_copy(update={"fold": fold}))
    with pytest.raises(UserError, match=r"there is no case 'zz'(.|\n)*'c0' is in both parts"):
        read_source(dataset.model_copy(update={"fold": 2}))


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".png"])
def test_file_endings_of_nnunet(tmp_path, ending):
    rng, shape = np.random.default_rng(0), (9, 8) if ending == ".png" else (6, 9, 8)
    for case_id in "abc":
        for part, array in (
            (f"imagesTr/{case_id}_0000", rng.integers(0, 200, shape)),
            (f"labelsTr/{case_id}", np.ones(shape) - (np.arange(8) > 3)),
        ):
            path = tmp_path / "source" / f"{part}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.astype(np.uint8)), str(path))
    description = {"channel_names": {"0": "x"}, "labels": LABELS, "file_ending": ending}
    store = Store.open(prepare(decathlon(tmp_path / "source", description), tmp_path))
    assert store.cases["a"].shape == shape[::-1]
    assert store.cases["a"].foreground_voxels == [int(np.prod(shape)) // 2]


def test_regions_that_share_no_value_are_classes_of_several(tmp_path):
    for number in range(3):
        save(tmp_path / f"source/imagesTr/c{number}_0000.nii.gz", number)
        save(tmp_path / f"source/labelsTr/c{number}.nii.gz", label=True, value=number + 1)
    labels = {"background": 0, "organ": [1, 3], "tumour": [2]}
    description = {"channel_names": {"0": "CT"}, "labels": labels, "regions_class_order": [1, 2]}
    store = Store.open(prepare(decathlon(tmp_path / "source", description), tmp_path))
    assert store.classes == ["organ", "tumour"] and store.label_values == [[1, 3], [2]]
    assert [it.foreground_voxels for it in store.manifest.cases] == [[18, 0], [0, 18], [18, 0]]
