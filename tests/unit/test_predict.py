"""Prediction of new scans: crop, resample, normalise, and the way back to the scan's own grid."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_methods import methods
from ssl_methods.config import MethodConfig, NetworkConfig, Run, load_experiment
from ssl_methods.data.store import store_folder
from ssl_methods.data.volumes import read_label_volume, read_volume
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import predict_labels
from ssl_methods.evaluation.predict import predict_files, predict_scan
from ssl_methods.files import write_json, write_yaml
from ssl_methods.methods.base import MakeNetwork, Method

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
    bright = Bright(MethodConfig(), MakeNetwork(NetworkConfig()))
    found = predict_scan(bright, scan, a_run(tmp_path, **dataset), 1, CPU)
    assert found.shape == image.shape and found.dtype == np.uint8
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
        "format": 1,
        "dataset": run.dataset.name,
        "settings": run.dataset.model_dump(mode="json"),
        "dimensions": 3,
        "channels": 1,
        "classes": ["ball"],
        "crop_used_label": False,
        "cases": [],
    }
    write_json(store_folder(run.dataset, results) / "manifest.json", manifest)
    folder = results / run.folder
    folder.mkdir(parents=True)
    torch.manual_seed(4)  # its probabilities lie on both sides of one half
    method = methods.create("supervised", network=run.network)
    torch.save(method.state_dict(), folder / "model.pt")
    write_yaml(folder / "run.yaml", run.model_dump(mode="json"))
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
    written = predict_files(folder, scans, out, results)
    assert written == [out / "one.nii.gz", out / "two.nrrd"]

    run = a_run(tmp_path)
    normalised = (image - image.mean()) / image.std()
    method = methods.create("supervised", network=run.network)
    method.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    expected = predict_labels(
        method.eval().predict, normalised[None], run.training.patch_size, 1, run.evaluation, CPU
    )
    for path in written:
        label = read_label_volume(path)
        assert label.image.dtype == np.uint8
        assert np.allclose(label.affine, AFFINE)
        agreement = (label.image == expected).mean()
        assert agreement > 0.999  # a probability of one half may round either way
    assert expected.any() and not expected.all()


def test_a_run_cropped_with_the_label_is_refused(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path, crop="label")
    with pytest.raises(UserError, match="crop: label"):
        predict_files(folder, [tmp_path / "scan.nii.gz"], tmp_path / "out", results)


def test_a_run_on_scans_that_came_cropped_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, results = make_run_folder(tmp_path, source_crop_used_label=True)
    image, _ = scan_of_a_ball()
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), tmp_path / "scan.nii.gz")
    with caplog.at_level(logging.WARNING):
        predict_files(folder, [tmp_path / "scan.nii.gz"], tmp_path / "out", results)
    assert "cropped around their reference label" in caplog.text


def test_bad_scans_are_named_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder, results = make_run_folder(tmp_path)
    image, _ = scan_of_a_ball()
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out"
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), scan)
    before = scan.read_bytes()
    with pytest.raises(UserError, match="would replace the scan"):
        predict_files(folder, [scan], tmp_path, results)
    with pytest.raises(UserError, match="both would be written"):
        predict_files(folder, [scan, tmp_path / "folder" / scan.name], out, results)
    with pytest.raises(UserError, match=r"absent\.nii"):
        predict_files(folder, [tmp_path / "absent.nii"], out, results)

    nibabel.save(nibabel.Nifti1Image(image[:, :, 0], AFFINE), tmp_path / "flat.nii")
    with pytest.raises(UserError, match=r"flat\.nii: is 2D with 1 channel"):
        predict_files(folder, [tmp_path / "flat.nii"], out, results)
    nibabel.save(
        nibabel.Nifti1Image(np.ones((9, 9, 9), np.float32), AFFINE), tmp_path / "constant.nii"
    )
    with pytest.raises(UserError, match=r"constant\.nii: .*constant"):
        predict_files(folder, [tmp_path / "constant.nii"], out, results)
    assert scan.read_bytes() == before and not list(out.glob("*"))
