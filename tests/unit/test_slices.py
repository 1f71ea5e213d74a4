"""Networks in 2D on slices of scans in 3D: what is cut, what is predicted, against scipy's zoom."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from scipy import ndimage

from ssl_methods.config import EvaluationConfig, load_experiment
from ssl_methods.data.patches import Volumes, draw_patch, nearest
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.evaluation.inference import Predictor
from ssl_methods.evaluation.trained import load
from ssl_methods.training.train import train

CPU = torch.device("cpu")


def experiment(method: str = "dtc", **training):
    return load_experiment(
        {
            "name": "slices",
            "dataset": {
                "name": "ball",
                "importer": "phantom",
                "shape": [20, 18, 10],
                "train_cases": 4,
                "test_cases": 2,
            },
            "methods": [method],
            "budgets": [2],
            "network": {"width": 2, "levels": 2, "classes": "exclusive"},
            "training": {"patch_size": [16, 12], "iterations": 4, "device": "cpu", **training},
        }
    )


@pytest.mark.parametrize("size", [(7, 5), (16, 16), (4, 9), (1, 1), (33, 20)])
def test_nearest_is_scipys_zoom_of_order_0(size):
    volume = default_rng(0).normal(size=(2, 13, 11)).astype(np.float32)
    factors = [want / have for want, have in zip(size, volume.shape[1:], strict=True)]
    expected = np.stack([ndimage.zoom(channel, factors, order=0) for channel in volume])
    if 1 in size:  # zoom's corner
        expected = volume[:, :1, :1]
    assert np.array_equal(nearest(torch.from_numpy(volume), size).numpy(), expected)


def test_a_slice_that_is_cut_is_one_of_the_scan_and_each_is_drawn():
    training = experiment(flip_axes=[], rotate=False).training
    volume = np.broadcast_to(np.arange(10.0, dtype=np.float32), (1, 20, 18, 10))
    rng, seen = default_rng(0), set()
    for _ in range(200):
        patch = draw_patch(rng, 0, volume.shape[1:], training).cut(volume)
        assert patch.shape == (1, 16, 12) and patch.unique().numel() == 1
        seen.add(int(patch[0, 0, 0]))
    assert seen == set(range(10))


def test_a_resized_slice_is_turned_and_mirrored_as_a_patch_is():
    training = experiment(slices="resized").training
    volume = default_rng(1).normal(size=(1, 21, 30, 6)).astype(np.float32)
    patch = draw_patch(default_rng(3), 0, volume.shape[1:], training)
    own = volume[0, :, :, patch.slice]
    turned = (12, 16) if patch.turns % 2 else (16, 12)
    factors = [want / have for want, have in zip(turned, own.shape, strict=True)]
    expected = np.rot90(ndimage.zoom(own, factors, order=0), patch.turns)
    expected = np.flip(expected, [axis - 1 for axis in patch.flips])
    found = Volumes(lambda _: volume, ["a"], None).cut([patch])
    assert found.shape == (1, 1, 16, 12) and np.array_equal(found[0, 0].numpy(), expected)


def test_a_volume_is_predicted_slice_by_slice_at_its_own_size():
    volume = default_rng(2).normal(size=(1, 25, 18, 5)).astype(np.float32)

    def threshold(patches):
        assert patches.ndim == 4
        return (patches > 0).float()

    cut = Predictor(threshold, (16, 12), 1, EvaluationConfig(), CPU)
    assert np.array_equal(cut.labels(volume), volume[0] > 0)
    resized = Predictor(threshold, (16, 12), 1, EvaluationConfig(), CPU, resized=True)
    for place in range(5):
        own = volume[0, :, :, place]
        small = ndimage.zoom(own, (16 / 25, 12 / 18), order=0) > 0
        back = ndimage.zoom(small, (25 / 16, 18 / 12), order=0)
        assert np.array_equal(resized.labels(volume)[..., place], back)


@pytest.mark.parametrize(
    "method, slices", [("dtc", "cut"), ("supervised", "resized"), ("mean_shape", "resized")]
)
def test_a_run_on_slices_is_trained_measured_and_applied_to_a_scan(tmp_path, method, slices):
    declared = experiment(method, slices=slices, level_set_from="volume")
    folder = prepare(declared.dataset, tmp_path)
    run = declared.run(method, 2, 0, 0)
    train(run, tmp_path, tmp_path / "run")
    evaluate(tmp_path / "run", tmp_path)
    assert len((tmp_path / "run/cases.csv").read_text().splitlines()) == 3
    store = Store.open(folder)
    image = np.array(store.image(store.ids("test")[0]))
    found = load(tmp_path / "run", results=tmp_path).probabilities(image, (1, 1, 1))
    assert found.shape == (1, *image.shape[1:])


def test_what_cannot_be_is_refused(tmp_path: Path):
    with pytest.raises((UserError, ValueError), match="two numbers"):
        experiment(slices="resized", patch_size=[16, 12, 4])
