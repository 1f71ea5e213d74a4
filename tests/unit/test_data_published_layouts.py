"""Data sets as published code stores them: each layout into the store, and damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from support import layouts
from support.layouts import box, noise, write_h5, write_list

from ssl_methods.cli import main
from ssl_methods.config import load_experiment
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.prepare import prepare
from ssl_methods.data.splits import write_splits
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.files import write_yaml
from ssl_methods.training.train import train

MAKE = {
    "acdc_h5": layouts.acdc,
    "brats_h5": layouts.brats,
    "pancreas_ct_h5": layouts.pancreas_mc_net,
    "organs_npy": layouts.organs,
    "promise12": layouts.promise12,
}
MORE = {"organs_npy": {"organs": "amos"}}


def dataset(importer: str, folder: Path, **changes):
    declared = {"name": "set", "importer": importer, "path": str(folder)} | MORE.get(importer, {})
    return load_experiment(
        {"name": "e", "dataset": declared | changes, "methods": ["supervised"], "budgets": [1]}
    ).dataset


def prepared(importer: str, folder: Path, **changes) -> Store:
    return Store.open(prepare(dataset(importer, folder, **changes), folder.parent / "results"))


def fault(importer: str, folder: Path, **changes) -> str:
    """What preparing says; nothing is left behind."""
    results = folder.parent / "faulty"
    with pytest.raises(UserError) as raised:
        prepare(dataset(importer, folder, **changes), results)
    assert not list(results.rglob("manifest.json"))
    return str(raised.value)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data"


# ---- each layout ---------------------------------------------------------------------------------


def test_acdc_is_taken_as_x_y_z_by_patient_and_without_a_voxel_size(folder):
    found = layouts.acdc(folder)
    store = prepared("acdc_h5", folder)
    assert store.ids("train") == found["train"] and store.ids("test") == found["test"]
    assert store.classes == ["right ventricle", "myocardium", "left ventricle"]
    case = store.cases["patient102_frame02"]
    assert (case.group, case.spacing, case.affine) == ("patient102", None, None)
    with h5py.File(folder / "data/patient102_frame02.h5") as file:
        np.testing.assert_array_equal(store.image(case.id)[0], file["image"][()].transpose(2, 1, 0))
        np.testing.assert_array_equal(store.label(case.id), file["label"][()].transpose(2, 1, 0))
    summary = (store.folder / "summary.md").read_text()
    assert "2 cases for validation are left out (val.list)" in summary
    assert "distances are measured in voxels alone" in summary and " ml" not in summary


def test_acdc_with_the_original_headers_has_their_voxel_sizes(folder):
    layouts.acdc(folder)
    sizes = {}
    for patient in range(101, 107):
        sizes[patient] = (1.0 + patient / 100, 1.5, 8.0)
        for frame in ("01", "12"):  # of the cine; the files of SSL4MIS count 01, 02
            name = f"patient{patient}_frame{frame}.nii.gz"
            path = folder / "originals" / f"patient{patient}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            affine = np.diag([*sizes[patient], 1.0])
            nibabel.save(nibabel.Nifti1Image(noise(0).transpose(2, 1, 0), affine), path)
    (path.parent / "Info.cfg").write_text("ED: 1\nES: 12\n")
    store = prepared("acdc_h5", folder)
    for case in store.manifest.cases:
        assert case.spacing == pytest.approx(sizes[int(case.group[-3:])], rel=1e-6)

    (folder / "originals/patient101/patient101_frame01.nii.gz").unlink()
    message = fault("acdc_h5", folder)
    assert "the voxel size of case 'patient101_frame02' is not known, and of others" in message
    nibabel.save(nibabel.Nifti1Image(noise(0), np.eye(4)), path)
    assert f"{path}: is (6, 18, 20), and patient106_frame02.h5" in fault("acdc_h5", folder)


def test_what_needs_a_voxel_size_is_refused_without_one(folder):
    layouts.acdc(folder)
    assert "take dataset.spacing away" in fault("acdc_h5", folder, spacing=[1, 1, 5])
    assert "dataset.crop_margin_mm: 0" in fault("acdc_h5", folder, crop="label")
    store = prepared("acdc_h5", folder, crop="label", crop_margin_mm=0)
    assert {case.shape for case in store.manifest.cases} == {(14, 6, 3)}


def test_brats_ids_end_at_a_comma_and_voxels_are_1_mm(folder):
    found = layouts.brats(folder)
    store = prepared("brats_h5", folder)
    assert store.ids("train") == found["train"] and store.ids("test") == found["test"]
    assert store.classes == ["whole tumour"]
    np.testing.assert_array_equal(store.label("BraTS19_HGG_4_1"), box())
    assert store.cases["BraTS19_HGG_4_1"].spacing == (1.0, 1.0, 1.0)


def test_the_two_preparations_of_pancreas_ct(tmp_path):
    found = layouts.pancreas_mc_net(tmp_path / "a")
    store = prepared("pancreas_ct_h5", tmp_path / "a")
    assert store.ids("train") == [f"PANCREAS_{it}" for it in found["train"]]
    assert store.ids("test") == [f"PANCREAS_{it}" for it in found["test"]]
    assert store.cases["PANCREAS_0057"].spacing == (1.0, 1.0, 1.0)
    assert store.manifest.crop_used_label
    np.testing.assert_array_equal(store.image("PANCREAS_0059")[0], noise(59))

    layouts.pancreas_coranet(tmp_path / "b")
    store = prepared("pancreas_ct_h5", tmp_path / "b")
    assert store.ids("train") == [f"PANCREAS_{it}" for it in ("0001", "0002", "0013", "0014")]
    assert store.cases["PANCREAS_0064"].spacing is None
    assert "slices were not resampled to 1 mm" in (store.folder / "summary.md").read_text()

    shutil.copytree(tmp_path / "b/h5", tmp_path / "a/h5")
    message = fault("pancreas_ct_h5", tmp_path / "a")
    assert "one kind of files is needed" in message and "found mc_net and coranet" in message


def test_published_lists_are_taken_where_the_folder_has_none(folder):
    """CauSSL's combination: CoraNet's files, MC-Net's lists. And MCF's folds of its own files."""
    for number in range(1, 83):
        write_h5(folder / f"{number:04d}.h5", image=noise(number), label=box())
    assert "dataset.split: mc_net, coranet or mcf" in fault("pancreas_ct_h5", folder)
    source = read_source(dataset("pancreas_ct_h5", folder, split="mc_net"))
    assert [case.id for case in source.cases[:2]] == ["PANCREAS_0057", "PANCREAS_0018"]
    assert sum(case.split == "test" for case in source.cases) == 20
    message = fault("pancreas_ct_h5", folder, split="coranet")  # 80 cases
    assert f"{folder / '0025.h5'}: is not used" in message
    for file in list(folder.glob("*.h5")):
        file.rename(folder / f"PANCREAS_{file.name}")
    tested = [
        {
            case.id
            for case in read_source(dataset("pancreas_ct_h5", folder, split="mcf", fold=it)).cases
            if case.split == "test"
        }
        for it in range(4)
    ]
    assert [len(it) for it in tested] == [20, 20, 21, 21] and len(set.union(*tested)) == 82


def test_folds_of_mcf_on_the_left_atrium(folder):
    from ssl_methods.data.lists import published_sides

    ids = list(published_sides("left_atrium_mcf", 0).split)
    assert len(ids) == 100 and {len(it) for it in ids} == {20}
    for case in ids:
        write_h5(folder / "scans" / case / "mri_norm2.h5", image=noise(0), label=box())
    write_list(folder / "Flods/train0.list", ids)
    tested = []
    for fold in range(5):
        source = read_source(dataset("left_atrium", folder, split="mcf", fold=fold))
        tested.append({case.id for case in source.cases if case.split == "test"})
    assert {len(it) for it in tested} == {20} and set.union(*tested) == {*ids}
    shutil.rmtree(folder / "scans" / ids[3])
    assert f"case '{ids[3]}' has no file" in fault("left_atrium", folder, split="mcf", fold=0)


@pytest.mark.parametrize("lists", ["splits", "split_txts"])
def test_organs_are_windowed_and_scaled_as_the_code_does(folder, lists):
    layouts.organs(folder, lists)
    store = prepared("organs_npy", folder, lists="5p")
    assert store.ids("train") == ["amos_0004", "amos_0001", "amos_0005"]
    assert store.ids("test") == ["amos_0008"] and len(store.classes) == 15
    image = np.load(folder / "npy/amos_0005_image.npy").clip(-75, 275)
    expected = (image - image.min()) / (image.max() - image.min())
    np.testing.assert_allclose(store.image("amos_0005")[0], expected.transpose(2, 1, 0), atol=1e-6)
    assert store.cases["amos_0005"].spacing is None


def test_a_case_of_two_lists_is_refused_until_one_of_them_rules(folder):
    layouts.organs(folder)
    message = fault("organs_npy", folder, lists="20p")
    assert "labeled_20p.txt and " in message and "eval.txt both name 'amos_0027'" in message
    assert "dataset.overlap: training or validation" in message and "\n" not in message
    for overlap, kept in (("training", True), ("validation", False)):
        given = dataset(
            "organs_npy", folder, lists="20p", overlap=overlap, ignore=["npy/amos_0004_*"]
        )
        source = read_source(given)
        assert ("amos_0027" in {case.id for case in source.cases}) == kept
        assert f"taken for {overlap} (dataset.overlap): amos_0027" in " ".join(source.remarks)
    write_list(folder / "splits/test.txt", ["amos_0008", "amos_0001"])
    message = fault("organs_npy", folder, lists="20p", overlap="training")
    assert "test.txt both name 'amos_0001'; a case has one role" in message


def test_promise12_has_the_headers_voxel_sizes_and_abds_split(folder):
    layouts.promise12(folder)
    write_list(folder / "val.list", ["Case35"])
    store = prepared("promise12", folder)
    assert store.ids("train") == [f"Case{it:02d}" for it in range(35)]
    assert store.ids("test") == [f"Case{it:02d}" for it in range(40, 50)]
    assert store.cases["Case41"].spacing == pytest.approx((0.4, 0.4, 3.3))
    np.testing.assert_array_equal(store.label("Case41"), box().transpose(2, 1, 0))
    (folder / "Case07.raw").unlink()
    assert "Case07" in fault("promise12", folder, normalisation="none")


def test_promise12_draws_a_test_set_of_what_is_there(folder):
    layouts.promise12(folder, range(5))
    (folder / "Case02_segmentation.mhd").unlink()
    (folder / "Case02_segmentation.raw").unlink()
    assert "has no file" in fault("promise12", folder)
    cases = read_source(dataset("promise12", folder, split="drawn", test_cases=2)).cases
    assert sorted(case.split for case in cases) == ["test"] * 2 + ["train"] * 3
    assert [case.labeled for case in cases] == [True, True, False, True, True]


# ---- damaged -------------------------------------------------------------------------------------

H5 = {
    "acdc_h5": ("data/patient102_frame01.h5", "train.list"),
    "brats_h5": ("data/BraTS19_HGG_1_1.h5", "train.txt"),
    "pancreas_ct_h5": ("Pancreas_h5/image0018_norm.h5", "train.list"),
}
LISTS = {name: names for name, (_, names) in H5.items()} | {"organs_npy": "splits/train.txt"}


@pytest.mark.parametrize("importer", H5)
def test_a_damaged_file_gets_one_line(folder, importer):
    MAKE[importer](folder)
    path = folder / H5[importer][0]
    whole = path.read_bytes()
    spoilt = {
        "has no 'label' (keys: image)": {"image": noise(0)},
        "image (6, 18, 20) and label (6, 18, 19) differ in shape": {
            "image": noise(0),
            "label": box()[..., 1:],
        },
        "image (18, 20) and label (18, 20) differ in shape, or are not 3D": {
            "image": noise(0)[0],
            "label": box()[0],
        },
        "not whole numbers": {"image": noise(0), "label": box() * 0.5},
        "'image' is no array of numbers": {"image": np.array([b"text"]), "label": box()},
    }
    for words, arrays in spoilt.items():
        path.unlink()
        write_h5(path, **arrays)
        with pytest.raises(UserError) as raised:
            for case in read_source(dataset(importer, folder)).cases:
                case.load()
        message = str(raised.value)
        assert f"{path}: " in message and words in message and "\n" not in message, message
    path.unlink()
    write_h5(path, image=noise(0), label=box() * 7)
    assert "the label has unexpected values (7)" in fault(importer, folder)
    path.write_bytes(whole[: len(whole) // 2])
    message = fault(importer, folder)
    assert f"{path}: cannot be read, it may be truncated" in message and "\n" not in message


@pytest.mark.parametrize("importer", LISTS)
def test_a_damaged_list_gets_one_line(folder, importer):
    MAKE[importer](folder)
    path = folder / LISTS[importer]
    good = path.read_text()
    first = good.splitlines()[0]
    lists = {
        "names no case": "\n \n",
        "more than once": good + first + "\n",
        "has no file": good + first.replace(first.split("_")[-1][:3], "999", 1) + "\n",
        "cannot be": good + "../x\n",
    }
    for words, text in lists.items():
        path.write_text(text)
        message = fault(importer, folder)
        assert str(path) in message and "Traceback" not in message
        if words != "cannot be":  # it is not there either
            assert "\n" not in message
        assert words in message or "no case's name" in message, message
    test = path.with_name(path.name.replace("train", "test"))
    test.write_text(test.read_text() + first + "\n")
    path.write_text(good)
    message = fault(importer, folder)
    assert f"{path} and {test} both name" in message and "\n" not in message
    path.unlink()
    assert str(path) in (message := fault(importer, folder)) or "has no lists" in message


@pytest.mark.parametrize("importer", LISTS)
def test_lists_of_any_editor_read_alike(folder, importer):
    MAKE[importer](folder)
    path = folder / LISTS[importer]
    clean = [case.id for case in read_source(dataset(importer, folder)).cases]
    text = path.read_text().replace("\n", " \t\r\n")
    path.write_bytes(b"\xef\xbb\xbf\r\n" + text.encode() + b"\r\n")
    assert [case.id for case in read_source(dataset(importer, folder)).cases] == clean


@pytest.mark.parametrize("importer", MAKE)
def test_a_file_that_nothing_names_is_named(folder, importer):
    MAKE[importer](folder)
    write_h5(folder / "data/Case77_more.h5", image=noise(0))
    message = fault(importer, folder)
    assert f"{folder / 'data/Case77_more.h5'}: is not used" in message and "\n" not in message


def test_damaged_npy_and_mhd(folder):
    layouts.organs(folder)
    label, image = (folder / "npy" / f"amos_0004_{it}.npy" for it in ("label", "image"))
    whole = image.read_bytes()
    np.save(label, box(3)[:-1])
    assert f"{label}: image (6, 18, 20) and label (5, 18, 20)" in fault("organs_npy", folder)
    np.save(label, box(3) * -1.5)
    assert f"{label}: labels must be whole numbers" in fault("organs_npy", folder)
    np.save(label, np.array([{}]), allow_pickle=True)
    assert str(label) in fault("organs_npy", folder)
    np.save(label, box(3))
    image.write_bytes(whole[:-9])
    assert f"{image}: " in fault("organs_npy", folder)
    image.unlink()
    assert f"case 'amos_0004' has no file {image}" in fault("organs_npy", folder)


# ---- the whole way -------------------------------------------------------------------------------


def test_acdc_from_its_files_to_measurements(folder):
    """As the field does it: slices, exclusive classes, the first two patients of the list labeled;
    distances in voxels alone."""
    found = layouts.acdc(folder)
    declared = {
        "name": "acdc",
        "dataset": {"name": "acdc", "importer": "acdc_h5", "path": str(folder)},
        "methods": ["mean_teacher"],
        "budgets": [2],
        "budgets_count": "patients",
        "subsets": 1,
        "labeled_cases": "first",
        "network": {"name": "unet", "width": 2, "levels": 2, "classes": "exclusive"},
        "training": {
            "iterations": 2,
            "patch_size": [16, 16],
            "slices": "resized",
            "device": "cpu",
        },
    }
    experiment, results = load_experiment(declared), folder.parent / "results"
    store = Store.open(prepare(experiment.dataset, results))
    write_splits(experiment, store, results)
    run = next(iter(experiment.runs()))
    place = results / run.folder
    train(run, results, place)
    evaluate(place, results)
    table = pd.read_csv(place / "cases.csv")
    assert list(table["case"].unique()) == found["test"]
    assert len(table) == 3 * len(found["test"])
    in_mm = [name for name in table if name.endswith(("mm", "_ml"))]
    assert len(in_mm) == 5 and table[in_mm].isna().all(axis=None)
    assert table[["dice", "jaccard", "asd_voxel", "hd95_voxel"]].notna().all(axis=None)
    split = next((results / "acdc/splits").glob("*.json")).read_text()
    assert found["train"][3] in split.split('"unlabeled"')[0]


def test_a_bad_folder_ends_with_status_2_and_one_line(folder, tmp_path, capfd, monkeypatch):
    found = layouts.acdc(folder)
    (folder / "data" / f"{found['test'][0]}.h5").unlink()
    declared = {"name": "e", "dataset": {"name": "a", "importer": "acdc_h5", "path": str(folder)}}
    write_yaml(tmp_path / "e.yaml", declared | {"methods": ["supervised"], "budgets": [2]})
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "e.yaml"]) == 2
    said = capfd.readouterr().err.strip()
    assert f"test.list: case '{found['test'][0]}' has no file" in said and "\n" not in said
