"""Prediction of new scans: crop, resample, normalise, and the way back to the scan's own grid."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from ssl_methods import methods
from ssl_methods.config import MethodConfig, NetworkConfig, Run, load_experiment
from ssl_methods.data.store import store_folder
from ssl_methods.data.volumes import read_label_volume, read_volume
from ssl_methods.errors import UserError
from ssl_methods.evaluation import predict
from ssl_methods.evaluation.compare import compare_files
from ssl_methods.evaluation.inference import Predictor
from ssl_methods.evaluation.predict import predict_files, runs_and_images
from ssl_methods.evaluation.trained import Model, open_trained
from ssl_methods.files import write_json, write_yaml
from ssl_methods.methods.base import MakeNetwork, Method
from ssl_methods.training.train import train

CPU = torch.device("cpu")


def a_run(tmp_path: Path, **dataset: object) -> Run:
    experiment = load_experiment(
        {
            "name": "small",
            "dataset": {"name": "made", "importer": "folder", "path": str(tmp_path), **dataset},
            "methods": ["supervised"],
            "budgets": [1],
            "subsets": 1,
            "network": {"width": 2, "levels": 2},
            "training": {"patch_size": [8, 8, 8], "device": "cpu"},
        }
    )
    return next(experiment.runs())


def scan_of_a_ball(center: tuple[float, float, float] = (14, 12, 9)) -> tuple[NDArray, NDArray]:
    """A bright ball in a faint body, zero outside the body; and the ball."""
    axes = np.meshgrid(*map(np.arange, (30, 24, 18)), indexing="ij")
    # Voxels of 1 x 1 x 2 mm: a ball of 7 mm.
    parts = [size * (a - c) for size, a, c in zip((1, 1, 2), axes, center, strict=True)]
    distance = np.sqrt(sum(part**2 for part in parts))
    body = np.zeros((30, 24, 18), np.float32)
    body[2:28, 1:22, 1:17] = 1.0
    return (body + 5.0 * (distance < 7)).astype(np.float32), distance < 7


AFFINE = np.array([[0, -1.0, 0, 40], [1.0, 0, 0, -20], [0, 0, 2.0, 7], [0, 0, 0, 1]])


class Bright(Method):
    """The ball is above, the body below 1.5 standard deviations."""

    def predict(self, image: Tensor) -> Tensor:
        return (image > 1.5).float()


@pytest.mark.parametrize(
    "dataset",
    [
        {},
        {"crop": "nonzero", "crop_margin_mm": 0},
        {"spacing": [1.4, 1.4, 1.4]},
        {"spacing": [1.0, 2.0, 2.0], "crop": "nonzero", "crop_margin_mm": 2},
    ],
)
def test_the_label_comes_back_where_the_ball_is(tmp_path: Path, dataset: dict[str, object]) -> None:
    image, ball = scan_of_a_ball()
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), tmp_path / "scan.nii.gz")
    scan = read_volume(tmp_path / "scan.nii.gz")
    folder, results = make_run_folder(tmp_path, **dataset)
    trained = open_trained(folder, results)
    bright = Bright(MethodConfig(), MakeNetwork(NetworkConfig()))
    model = Model([replace(trained, method=bright)])
    found = model.predict(scan.image, scan.spacing, scan.affine)
    assert found.shape == image.shape and found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 7}
    found = found == 7
    overlap = 2 * np.count_nonzero(found[ball]) / (found.sum() + ball.sum())
    if "spacing" not in dataset:
        assert (found == ball).all()
    assert overlap > 0.9
    center = np.argwhere(found).mean(0)
    assert np.abs(center - np.argwhere(ball).mean(0)).max() < 0.3


def make_run_folder(tmp_path: Path, **dataset: object) -> tuple[Path, Path]:
    """A run's folder and the manifest of its store, as `train` and `prepare` leave them."""
    run, results = a_run(tmp_path, **dataset), tmp_path / "results"
    manifest = {
        "format": 2,
        "dataset": run.dataset.name,
        "settings": run.dataset.model_dump(mode="json"),
        "dimensions": 3,
        "channels": 1,
        "classes": ["ball"],
        "label_values": [[7]],
        "crop_used_label": False,
        "cases": [],
    }
    write_json(store_folder(run.dataset, results) / "manifest.json", manifest)
    folder = results / run.folder
    folder.mkdir(parents=True)
    torch.manual_seed(4)  # its probabilities lie on both sides of one half
    method = methods.create("supervised", network=run.network)
    torch.save(method.state_dict(), folder / "model.pt")
    write_yaml(folder / "run.yaml", run.model_dump(mode="json") | {"labeled": 1})
    return folder, results


def test_files_in_and_files_out(tmp_path: Path) -> None:
    """A NIfTI and an NRRD of one scan give one label, on the grid of each."""
    folder, results = make_run_folder(tmp_path)
    image, _ = scan_of_a_ball()
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), tmp_path / "one.nii.gz")
    header = {
        "space": "right-anterior-superior",
        "space directions": AFFINE[:3, :3].T,
        "space origin": AFFINE[:3, 3],
    }
    nrrd.write(str(tmp_path / "two.nrrd"), image, header)
    scans, out = [tmp_path / "one.nii.gz", tmp_path / "two.nrrd"], tmp_path / "out"
    written = predict_files([folder], scans, out, results)
    assert written == [out / "one.nii.gz", out / "two.nrrd"]

    run = a_run(tmp_path)
    normalised = (image - image.mean()) / image.std()
    method = methods.create("supervised", network=run.network)
    method.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    predictor = Predictor(method.eval().predict, run.training.patch_size, 1, run.evaluation, CPU)
    expected = predictor.labels(normalised[None])
    for path in written:
        label = read_label_volume(path)
        assert label.image.dtype == np.uint8
        assert np.allclose(label.affine, AFFINE)
        agreement = (label.image == 7 * expected).mean()
        assert agreement > 0.999  # a probability of one half may round either way
    assert expected.any() and not expected.all()


def test_a_run_cropped_with_the_label_is_refused(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path, crop="label")
    with pytest.raises(UserError, match="crop: label"):
        predict_files([folder], [tmp_path / "scan.nii.gz"], tmp_path / "out", results)


def test_a_run_on_scans_that_came_cropped_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, results = make_run_folder(tmp_path, source_crop_used_label=True)
    image, _ = scan_of_a_ball()
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), tmp_path / "scan.nii.gz")
    with caplog.at_level(logging.WARNING):
        predict_files([folder], [tmp_path / "scan.nii.gz"], tmp_path / "out", results)
    assert "cropped around their reference label" in caplog.text


def test_bad_scans_are_named_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path)
    image, _ = scan_of_a_ball()
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out"
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), scan)
    before = scan.read_bytes()
    with pytest.raises(UserError, match="would replace the scan"):
        predict_files([folder], [scan], tmp_path, results)
    with pytest.raises(UserError, match="both would be written"):
        predict_files([folder], [scan, tmp_path / "folder" / scan.name], out, results)
    with pytest.raises(UserError, match=r"absent\.nii"):
        predict_files([folder], [tmp_path / "absent.nii"], out, results)

    nibabel.save(nibabel.Nifti1Image(image[:, :, 0], AFFINE), tmp_path / "flat.nii")
    with pytest.raises(UserError, match=r"flat\.nii: is 2D with 1 channel"):
        predict_files([folder], [tmp_path / "flat.nii"], out, results)
    assert scan.read_bytes() == before and not list(out.glob("*"))


def test_every_bad_scan_of_a_folder_is_named_before_the_first_is_predicted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, results = make_run_folder(tmp_path)
    image, _ = scan_of_a_ball()
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, array in {
        "good": image,
        "constant": np.ones((9, 9, 9), np.float32),
        "nan": np.where(image > 5, np.nan, image),
        "flat": image[:, :, 0],
        "two": np.stack([image, image], -1),
    }.items():
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), scans / f"{name}.nii.gz")
    (scans / "cut.nii.gz").write_bytes((scans / "good.nii.gz").read_bytes()[:500])
    (scans / "notes.docx").write_text("x")
    with pytest.raises(UserError) as raised:
        predict_files([folder], [scans], tmp_path / "out", results)
    lines = str(raised.value).splitlines()
    for name, what in {
        "constant": "constant", "nan": "NaN", "flat": "2D", "two": "2 channel", "cut": "truncated",
    }.items():  # fmt: skip
        (line,) = [line for line in lines if f"{name}.nii.gz" in line]
        assert what in line
    assert len(lines) == 5 and not (tmp_path / "out").exists()
    assert "notes.docx" in caplog.text
    for name in ("constant", "nan", "flat", "two", "cut"):
        (scans / f"{name}.nii.gz").unlink()
    (written,) = predict_files([folder], [scans], tmp_path / "out", results)
    assert written == tmp_path / "out" / "good.nii.gz"


def test_probabilities_lie_on_the_scan_and_make_the_label(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path, crop="nonzero", crop_margin_mm=0)
    image, _ = scan_of_a_ball()
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), tmp_path / "scan.nii.gz")
    label, probability = predict_files(
        [folder], [tmp_path / "scan.nii.gz"], tmp_path / "out", results, probabilities=True
    )
    assert probability.name == "scan_probability_7.nii.gz"
    found: Any = nibabel.load(probability)
    values = np.asarray(found.dataobj)
    assert found.get_data_dtype() == np.float32 and np.allclose(found.affine, AFFINE)
    assert values.shape == image.shape and values.min() >= 0 and values.max() <= 1
    clear = np.abs(values - 0.5) > 1e-5
    mask = np.asarray(nibabel.load(label).dataobj) == 7  # type: ignore[attr-defined]
    assert (mask == (values > 0.5))[clear].all() and (values[image == 0] == 0).all()


def test_the_largest_component_alone_is_kept(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path)
    first, ball = scan_of_a_ball()
    image = first.copy()
    image[3:6, 3:6, 3:5] = 6.0
    trained = open_trained(folder, results)
    model = Model([replace(trained, method=Bright(MethodConfig(), MakeNetwork(NetworkConfig())))])
    whole = model.predict(image, (1, 1, 2), AFFINE)
    largest = model.predict(image, (1, 1, 2), AFFINE, largest_component=True)
    assert (whole == 7).sum() > ball.sum()
    assert ((largest == 7) == ball).all()


# ---- which arguments are what --------------------------------------------------------------------


def test_runs_and_images_are_told_apart(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path)
    scans = tmp_path / "scans"
    scans.mkdir()
    archive, image = tmp_path / "x.zip", tmp_path / "a.nii"
    assert runs_and_images([folder, archive, scans, image]) == ([folder, archive], [scans, image])
    with pytest.raises(UserError, match="no trained run"):
        runs_and_images([scans, image])
    with pytest.raises(UserError, match="name the images"):
        runs_and_images([folder])
    with pytest.raises(UserError, match="holds no images"):
        predict_files([folder], [scans], tmp_path / "out", results)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_the_voxels_of_a_header_in_a_file_of_their_own_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    """They are not spoken of as no images; another file is."""
    scan = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkInt16), scan)
    assert len(list(tmp_path.iterdir())) == 2
    assert list(predict.image_files([tmp_path])) == [scan]
    assert not caplog.messages
    (tmp_path / "other.raw").touch()
    assert list(predict.image_files([tmp_path])) == [scan]
    assert caplog.messages == [f"{tmp_path}: not read, since no images: other.raw"]


def channel_files(folder: Path, *names: str, shape: tuple[int, ...] = (6, 5, 4)) -> list[Path]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        image = rng.normal(size=shape).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(image, AFFINE), folder / f"{name}.nii.gz")
    return [folder / f"{name}.nii.gz" for name in names]


def cases(files: list[Path], channels: int) -> list[tuple[str, list[str]]]:
    dataset: Any = SimpleNamespace(header="agree")
    found = predict.cases_of(list(predict.image_files(files)), channels, dataset)
    return [(name, [file.name.split(".")[0] for file in some]) for name, some in found]


def test_files_named_as_channels_are_one_case(tmp_path: Path) -> None:
    files = channel_files(tmp_path / "in", "b_0001", "a_0000", "b_0000", "a_0001")
    expected = [("b", ["b_0000", "b_0001"]), ("a", ["a_0000", "a_0001"])]
    assert cases(files, 2) == expected
    assert cases([tmp_path / "in"], 2) == expected[::-1]
    assert cases(files[1:3], 1) == [("a_0000", ["a_0000"]), ("b_0000", ["b_0000"])]
    with pytest.raises(UserError, match=r"b: its channels are b_0001; needed: b_0000, b_0001"):
        cases(files[:1], 2)
    # A file that holds both channels is a case of its own, whatever its name.
    both = channel_files(tmp_path / "both", "scan_0007", shape=(6, 5, 4, 2))
    assert cases(both, 2) == [("scan_0007", ["scan_0007"])]


def test_the_channels_of_a_case_must_lie_on_one_grid(tmp_path: Path) -> None:
    first, second = channel_files(tmp_path / "in", "a_0000", "a_0001")
    moved = AFFINE.copy()
    moved[0, 3] += 3
    image: Any = nibabel.load(second)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), moved), second)
    dataset: Any = SimpleNamespace(header="agree")
    with pytest.raises(UserError, match="a_0001"):
        predict.read((first, second), dataset)


# ---- against independent readers -----------------------------------------------------------------


def itk_label(rng: np.random.Generator, values: list[int], size: tuple[int, int, int]) -> Any:
    """A label of one box per value, with an oblique placement, as ITK has it."""
    array = np.zeros(size[::-1], np.uint8)
    for number, value in enumerate(values):
        low = 2 + 7 * number
        array[3:-3, 2:-4, low : low + 6] = value
    label = sitk.GetImageFromArray(array)
    label.SetSpacing([float(x) for x in rng.uniform(0.5, 3, 3)])
    label.SetOrigin([float(x) for x in rng.uniform(-50, 50, 3)])
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*[float(x) for x in rng.uniform(-0.3, 0.3, 3)])
    label.SetDirection(turn.GetMatrix())
    return label


def itk_scan(rng: np.random.Generator, label: Any, dtype: str) -> Any:
    array = sitk.GetArrayFromImage(label) * 4.0 + rng.normal(0, 20, label.GetSize()[::-1])
    scan = sitk.GetImageFromArray(np.clip(array + 60, 0, 250).astype(dtype))
    scan.CopyInformation(label)
    return scan


ORIENTATIONS = ["LPS", "RAS", "PIR", "ASL", "SRP", "LIA"]


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    store=st.sampled_from(ORIENTATIONS),
    new=st.sampled_from(ORIENTATIONS),
    suffix=st.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha"]),
    dtype=st.sampled_from(["int16", "uint8", "float32"]),
    values=st.sampled_from([[1], [3, 1], [2, 9, 200], [4]]),
)
def test_from_scans_to_metrics_as_an_independent_reader_has_it(
    seed: int, store: str, new: str, suffix: str, dtype: str, values: list[int]
) -> None:
    """prepare -> train a control -> predict -> metrics. All labels are equal, so the mean shape of
    three is that of the fourth: the prediction must be its label, voxel for voxel, in ITK."""
    rng = np.random.default_rng(seed)
    label = itk_label(rng, values, (4 + 7 * len(values), 16, 13))
    with TemporaryDirectory() as name:
        folder, data = Path(name), Path(name, "data")
        for kind in ("data/images", "data/labels", "new"):
            (folder / kind).mkdir(parents=True)
        for case in range(4):
            turned = sitk.DICOMOrient(label, store)
            sitk.WriteImage(itk_scan(rng, turned, dtype), data / f"images/{case}{suffix}")
            sitk.WriteImage(turned, data / f"labels/{case}{suffix}")
        turned = sitk.DICOMOrient(label, new)
        sitk.WriteImage(itk_scan(rng, turned, dtype), folder / f"new/scan{suffix}")
        experiment = load_experiment(
            {
                "name": "itk",
                "dataset": {
                    "name": "itk", "importer": "folder", "path": str(data), "test_cases": 1,
                    "classes": "separate",
                },
                "methods": ["mean_shape"],
                "budgets": [3],
                "subsets": 1,
                "network": {"width": 2, "levels": 2},
                "training": {"patch_size": [8, 8, 8], "device": "cpu"},
            }
        )  # fmt: skip
        run, results = next(experiment.runs()), Path(name) / "results"
        train(run, results, folder / "run")
        shutil.rmtree(results, ignore_errors=True)  # the run's folder suffices
        (written,) = predict_files([folder / "run"], [folder / "new"], folder / "out", results)

        assert written.name == f"scan{suffix}"
        found, scan = sitk.ReadImage(written), sitk.ReadImage(folder / f"new/scan{suffix}")
        assert found.GetSize() == scan.GetSize()
        for grid in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert np.allclose(getattr(found, grid)(), getattr(scan, grid)(), atol=1e-4)
        assert (sitk.GetArrayFromImage(found) == sitk.GetArrayFromImage(turned)).all()

        # Against another mask the measured Dice is ITK's.
        moved = sitk.GetImageFromArray(np.roll(sitk.GetArrayFromImage(turned), 1, axis=1))
        moved.CopyInformation(turned)
        sitk.WriteImage(moved, folder / f"moved{suffix}")
        measured = compare_files(written, folder / f"moved{suffix}")
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(sitk.Cast(found, sitk.sitkUInt8), moved)
        for value in values:
            own = measured.get("classes", {str(value): measured})[str(value)]
            assert own["dice"] == pytest.approx(overlap.GetDiceCoefficient(value), abs=1e-9)
