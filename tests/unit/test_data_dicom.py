"""DICOM series, written here, against SimpleITK; and Pancreas-CT from them to the store."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from support.dicom import AXIAL, GAP, PIXEL, SAGITTAL, SIZE, TURNED, hounsfield, write_series

from ssl_methods.data.dicom import read_series
from ssl_methods.data.importers.pancreas_ct import PancreasCTDataset, load
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError


def in_world(image: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], float]:
    """Value by RAS position: the same whatever the order and direction of the axes."""
    index = np.indices(image.shape).reshape(3, -1)
    points = affine @ np.vstack([index, np.ones(index.shape[1])])
    keys = map(tuple, np.round(points[:3].T, 3) + 0.0)
    return dict(zip(keys, image.ravel().tolist(), strict=True))


@pytest.mark.parametrize("directions", [AXIAL, TURNED, SAGITTAL])
@pytest.mark.parametrize("upwards", [True, False])
def test_every_voxel_lies_where_it_was_written(tmp_path, directions, upwards):
    values = hounsfield()
    affine = write_series(tmp_path, values, directions, upwards=upwards)
    volume = read_series(tmp_path)
    assert in_world(volume.image[0], volume.affine) == in_world(values, affine)
    assert sorted(volume.spacing) == sorted((*PIXEL, GAP))


def test_each_slice_has_its_own_rescale_slope(tmp_path):
    values = hounsfield() // 2 * 2
    affine = write_series(tmp_path, values, slopes=(1.0, 0.5, 2.0))
    volume = read_series(tmp_path)
    assert in_world(volume.image[0], volume.affine) == in_world(values, affine)


def test_a_missing_slice_is_named(tmp_path):
    write_series(tmp_path, hounsfield())
    positions = {
        path: pydicom.dcmread(path).ImagePositionPatient[2] for path in tmp_path.glob("*.dcm")
    }
    sorted(positions, key=positions.__getitem__)[5].unlink()
    with pytest.raises(UserError, match="not evenly spaced"):
        read_series(tmp_path)


def test_two_series_in_a_folder_are_refused(tmp_path):
    write_series(tmp_path, hounsfield())
    for path in list(tmp_path.glob("*.dcm")):
        path.rename(tmp_path / f"first{path.name}")
    write_series(tmp_path, hounsfield(1))
    with pytest.raises(UserError, match="holds 2 DICOM series"):
        read_series(tmp_path)


def test_a_truncated_slice_is_an_error(tmp_path):
    write_series(tmp_path, hounsfield())
    path = tmp_path / "003.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"003.dcm: is no readable DICOM slice"):
        read_series(tmp_path)


@pytest.mark.parametrize("directions", [AXIAL, SAGITTAL])
def test_simpleitk_reads_the_same_values_at_the_same_places(tmp_path, directions):
    write_series(tmp_path, hounsfield(), directions, slopes=(1.0, 2.0), upwards=False)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    reader.SetOutputPixelType(SimpleITK.sitkFloat64)
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    expected = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    volume = read_series(tmp_path)
    assert in_world(volume.image[0], volume.affine) == in_world(
        expected, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    )


# ---- Pancreas-CT ---------------------------------------------------------------------------------


def organ() -> tuple[np.ndarray, np.ndarray]:
    """A scan of fat (-100 HU) and air with an organ of 90 HU, and its label."""
    label = np.zeros(SIZE, np.uint8)
    label[8:13, 5:9, 4:8] = 1
    values = np.where(label, 90.0, -100.0) + np.random.default_rng(0).integers(-9, 10, SIZE)
    values[0] = -1000
    return values, label


def write_case(folder: Path, number: int, directions=AXIAL, *, flipped=(), move=0.0, slopes=(1.0,)):
    """A case in the archive's layout; the label's array is flipped along some axes, and its header
    says so, and puts it ``move`` mm elsewhere."""
    values, label = organ()
    series = folder / "Pancreas-CT" / f"PANCREAS_{number:04d}" / "study" / "series"
    affine = write_series(series, values, directions, slopes=slopes)
    turned = np.eye(4)
    for axis in flipped:
        turned[axis, axis], turned[axis, 3] = -1, SIZE[axis] - 1
    affine = affine @ turned
    affine[:3, 3] += move
    path = folder / "labels" / f"label{number:04d}.nii.gz"
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.flip(label, flipped), affine), path)


def dataset(folder: Path, **settings) -> PancreasCTDataset:
    return PancreasCTDataset(
        name="pancreas", importer="pancreas_ct", path=folder, **{"split": "drawn"} | settings
    )


def test_from_the_archive_to_the_store(tmp_path):
    folder = tmp_path / "tcia"
    write_case(folder, 1)
    write_case(folder, 2, TURNED, flipped=(2,), slopes=(1.0, 0.5))
    write_case(folder, 3, SAGITTAL, flipped=(0, 1))
    write_case(folder, 25)
    store = Store.open(prepare(dataset(folder, test_cases=1, crop_margin_mm=2), tmp_path / "out"))
    assert sorted(store.cases) == ["PANCREAS_0001", "PANCREAS_0002", "PANCREAS_0003"]
    assert store.classes == ["pancreas"]
    assert store.manifest.crop_used_label
    for case_id, case in store.cases.items():
        image, label = store.image(case_id)[0], store.label(case_id)
        assert case.spacing == (1.0, 1.0, 1.0)
        # 5 x 4 x 4 voxels of 1.5 x 2 x 2.5 mm, and at least 2 mm on each side
        assert (
            int(np.prod([5 * 1.5, 4 * 2, 4 * 2.5])) * 0.8
            < label.sum()
            < 5 * 1.5 * 4 * 2 * 4 * 2.5 * 1.2
        )
        assert abs(image.mean()) < 1e-3 and abs(image.std() - 1) < 1e-3
        # The organ is bright, what is around it is dark: the label lies on it.
        assert image[label == 1].mean() - image[label == 0].mean() > 1.5


def test_the_window_is_applied(tmp_path):
    write_case(tmp_path / "tcia", 1)
    write_case(tmp_path / "tcia", 2)
    settings = {"normalisation": "none", "crop": "none", "spacing": None, "test_cases": 1}
    store = Store.open(prepare(dataset(tmp_path / "tcia", **settings), tmp_path / "out"))
    image = store.image("PANCREAS_0001")
    assert image.min() == -125 and 80 < image.max() <= 275


def test_published_lists_are_complete_and_disjoint(tmp_path):
    (tmp_path / "tcia").mkdir()
    for split, cases in (("mc_net", 82), ("coranet", 80)):
        given = dataset(tmp_path / "tcia", split=split, repeated_scans=True)
        with pytest.raises(UserError) as told:
            read_source(given)
        assert f"... and {2 * cases - 10} more" in str(told.value)


def test_cases_of_a_list_keep_its_order(tmp_path):
    folder = tmp_path / "tcia"
    for number in range(1, 83):
        (folder / f"PANCREAS_{number:04d}").mkdir(parents=True)
        (folder / f"label{number:04d}.nii.gz").touch()
    cases = read_source(dataset(folder, split="mc_net")).cases
    train = [case.id for case in cases if case.split == "train"]
    assert train[:3] == ["PANCREAS_0057", "PANCREAS_0018", "PANCREAS_0062"]
    assert (len(train), len(cases)) == (61, 80)  # 70 is a training case of the list, 25 a test case


def test_a_label_that_lies_elsewhere_is_refused(tmp_path):
    write_case(tmp_path, 1)
    path = tmp_path / "labels" / "label0001.nii.gz"
    label = nibabel.load(path)
    moved = np.roll(np.asarray(label.dataobj), 8, axis=0)
    nibabel.save(nibabel.Nifti1Image(moved, label.affine), path)
    with pytest.raises(UserError, match="is no soft tissue"):
        load(tmp_path / "Pancreas-CT" / "PANCREAS_0001", path)


def test_a_label_whose_header_is_elsewhere_is_told(tmp_path, caplog):
    write_case(tmp_path, 1, move=40.0)
    scan = load(
        tmp_path / "Pancreas-CT" / "PANCREAS_0001", tmp_path / "labels" / "label0001.nii.gz"
    )
    assert "mm from its scan" in caplog.text
    assert scan.label is not None and scan.image[0][scan.label > 0].min() > 50
