"""mean_shape: the average of hand-made masks."""

import shutil

import pytest
import torch

from ssl_methods import methods
from ssl_methods.data.splits import load_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.evaluation.inference import label_map
from ssl_methods.evaluation.trained import restore
from ssl_methods.methods.mean_shape import GRID
from ssl_methods.run_record import read_record
from ssl_methods.training.train import train, whole_labels


def box(size, *sides, classes=1):
    """(K, *size) with the same box of ones in every class."""
    label = torch.zeros(classes, *size)
    label[(slice(None), *(slice(*side) for side in sides))] = 1
    return label


def predicted(labels, size, classes=1):
    method = methods.create("mean_shape", classes=classes, dimensions=len(size))
    method.before_training(labels)
    return method.predict(torch.randn(2, 1, *size))


def test_one_case_of_the_size_of_the_grid_is_given_back_exactly():
    label = (torch.rand(2, GRID, GRID, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    probability = predicted([label], (GRID, GRID), classes=2)
    assert torch.equal(probability, label.expand(2, -1, -1, -1))


def test_one_case_of_any_size_gives_back_its_mask():
    label = box((20, 30, 12), (4, 15), (6, 20), (3, 9))
    assert torch.equal(predicted([label], (20, 30, 12))[0] > 0.5, label > 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_mask_is_stretched_with_the_image(axis):
    """Half of an image stays half of it; along one axis, since linear stretching rounds corners."""
    size, larger = (16, 12, 8), (32, 48, 10)
    half = [(0, n // 2 if i == axis else n) for i, n in enumerate(size)]
    expected = [(0, n // 2 if i == axis else n) for i, n in enumerate(larger)]
    found = predicted([box(size, *half)], larger)[0] > 0.5
    assert torch.equal(found, box(larger, *expected) > 0.5)


@pytest.mark.parametrize("shares", [(1, 2), (2, 3), (2, 4), (3, 4)])
def test_foreground_is_where_more_than_half_of_the_cases_have_it(shares):
    having, cases = shares
    full, none = torch.ones(1, 12, 10, 7), torch.zeros(1, 9, 13, 8)
    probability = predicted([full] * having + [none] * (cases - having), (11, 9, 5))
    torch.testing.assert_close(probability, torch.full_like(probability, having / cases))
    assert bool(label_map(probability[0]).any()) == (2 * having > cases)


def test_two_cases_that_do_not_overlap_have_nothing_in_common():
    size = (19, 23, 11)  # adjacent, and no multiple of the grid: rounding must not add up
    left, right = box(size, (0, 9), (0, 23), (0, 11)), box(size, (9, 19), (0, 23), (0, 11))
    assert not (predicted([left, right], size) > 0.5).any()


def test_the_trained_model_restores_the_prediction(tmp_path, prepared_results, experiment):
    results = shutil.copytree(prepared_results, tmp_path / "results")
    declared = experiment(methods=["mean_shape"])
    run = declared.run("mean_shape", 2, 0, 0)
    train(run, results, tmp_path / "run")
    store = Store.open(store_folder(run.dataset, results))
    expected = methods.create("mean_shape")
    expected.before_training(list(whole_labels(store, load_split(run, store, results).labeled)))
    image = torch.randn(1, 1, 18, 20, 16)
    restored = restore(read_record(tmp_path / "run"), store)
    assert torch.equal(restored.predict(image), expected.predict(image))
    assert (restored.predict(image) > 0.5).any()
    assert (tmp_path / "run/history.csv").read_text() == "iteration,learning_rate,loss\n"
