"""Phantoms: the same bits from the same seed, whole anatomy, difficulty that counts."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import ndimage, stats

from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.phantoms.chamber import BRANCH, CHAMBER, generate
from ssl_methods.data.phantoms.fields import knot_weights, smooth_field
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store

SHAPE = (32, 28, 24)


def dataset(**changes) -> PhantomDataset:
    declared = {
        "name": "ph",
        "importer": "phantom",
        "shape": SHAPE,
        "train_cases": 3,
        "test_cases": 2,
    }
    return PhantomDataset(**declared | changes)


@pytest.mark.parametrize("shape", [SHAPE, (40, 30)])
def test_a_case_is_as_declared(shape):
    for key in range(5):
        image, label, spacing, affine = generate(shape, 0.5, (0, 0, key))
        assert image.shape == (1, *shape) and image.dtype == np.float32
        assert np.isfinite(image).all() and image.min() >= 0
        assert label.shape == shape and label.dtype == np.uint8
        assert set(np.unique(label)) <= {0, CHAMBER, BRANCH}
        assert 0.005 < (label > 0).mean() < 0.5
        assert spacing == (1.0,) * len(shape) and affine is None


def test_equal_keys_give_equal_bits_in_another_process_too():
    code = (
        "from ssl_methods.data.phantoms.chamber import generate; import hashlib; "
        f"s = generate({SHAPE}, 0.5, (3, 0, 1)); "
        "print(hashlib.sha256(s.image.tobytes() + s.label.tobytes()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    one, two = generate(SHAPE, 0.5, (3, 0, 1)), generate(SHAPE, 0.5, (3, 0, 1))
    assert one.image.tobytes() == two.image.tobytes() and one.label.tobytes() == two.label.tobytes()


def test_every_case_differs_and_more_cases_change_none():
    few = {case.id: case.load() for case in read_source(dataset()).cases}
    many = {
        case.id: case.load() for case in read_source(dataset(train_cases=5, test_cases=3)).cases
    }
    assert len(few) == 5 and set(few) < set(many)
    assert all(np.array_equal(few[it].image, many[it].image) for it in few)
    assert len({scan.image.tobytes() for scan in many.values()}) == 8
    other = read_source(dataset(seed=1)).cases[0].load()
    assert not np.array_equal(other.image, few["train_0000"].image)


def test_branches_leave_the_chamber():
    """All labeled parts touch, but for tubes cut where they leave the volume and come back."""
    for key in range(10):
        label = generate((48, 48, 32), 0.5, (1, 0, key)).label
        parts, count = ndimage.label(label > 0, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.9, count
        assert (label == CHAMBER).sum() > (label == BRANCH).sum() > 0


def test_an_easy_case_is_bright_blood_on_dark_tissue_and_hard_ones_are_not():
    """Area under the ROC curve of intensity alone: how far thresholding gets."""

    def separation(difficulty: float) -> float:
        areas = []
        for key in range(6):
            image, label, *_ = generate(SHAPE, difficulty, (2, 0, key))
            inside, outside = image[0][label > 0], image[0][label == 0]
            areas.append(stats.mannwhitneyu(inside, outside).statistic / inside.size / outside.size)
        return float(np.mean(areas))

    easy, middle, hard = separation(0.0), separation(0.5), separation(1.0)
    assert easy > 0.97
    assert easy - 0.02 > middle > hard + 0.02


def test_look_alikes_are_as_bright_as_blood_and_not_labeled():
    """At the default difficulty thresholding finds much that is no blood."""
    shares = []
    for key in range(8):
        image, label, *_ = generate((48, 48, 32), 0.5, (4, 0, key))
        bright = image[0] > np.median(image[0][label > 0])
        shares.append((bright & (label == 0)).sum() / bright.sum())
    assert np.mean(shares) > 0.2


def test_noise_is_as_declared_where_there_is_signal():
    """At difficulty 0 blood is 0.35 + 0.45, and Rician noise of 0.02 is Gaussian there."""
    image, label, *_ = generate((48, 48, 32), 0.0, (5, 0, 0))
    blood = image[0][ndimage.binary_erosion(label == CHAMBER, iterations=3)]
    assert blood.mean() == pytest.approx(0.8, abs=0.01)
    assert blood.std() == pytest.approx(0.02, rel=0.1)


def test_smooth_fields_have_unit_variance_and_are_smooth():
    field = smooth_field(np.random.default_rng(0), (40, 40, 40), 8.0)
    assert field.std() == pytest.approx(1)
    assert np.corrcoef(field[1:].ravel(), field[:-1].ravel())[0, 1] > 0.95
    weights = knot_weights(32, 6.0)
    assert weights.sum(1).std() / weights.sum(1).mean() < 0.05


def test_fast_enough_to_generate_on_the_fly():
    generate((48, 48, 32), 0.5, (0, 0, 0))
    start = time.process_time()
    for key in range(5):
        generate((48, 48, 32), 0.5, (0, 0, key))
    assert (time.process_time() - start) / 5 < 0.25


def test_separate_classes_are_chamber_and_branches(tmp_path):
    store = Store.open(prepare(dataset(classes="separate"), tmp_path))
    assert store.classes == ["chamber", "branches"]
    case = store.manifest.cases[0]
    assert case.foreground_voxels == [
        int((store.label(case.id) == value).sum()) for value in (1, 2)
    ]


def test_two_dimensions(tmp_path):
    store = Store.open(prepare(dataset(shape=(40, 36)), tmp_path))
    assert store.dimensions == 2 and store.image("train_0000").shape == (1, 40, 36)
