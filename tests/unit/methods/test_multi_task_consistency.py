"""multi_task_consistency: dtc with two tasks, the formulas with three, the transform's inverse."""

from itertools import combinations

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.tasks import inner_distance_task
from ssl_methods.training.loop import step


def make(name="multi_task_consistency", **settings):
    torch.manual_seed(0)
    return methods.create(name, network=NetworkConfig(width=2, levels=2), **settings)


def make_batch():
    """Balls, a whole patch and an empty one among them, with their level sets."""
    g = torch.Generator().manual_seed(0)
    grid = np.stack(np.indices((12, 12, 12)))
    radii = [3.5, 5.0, 100.0, 0.0]
    masks = [((grid - 5.5) ** 2).sum(0) < radius**2 for radius in radii]
    distances = np.stack([signed_distance(mask) for mask in masks])
    images = torch.randn(6, 1, 12, 12, 12, generator=g)
    labels = torch.from_numpy(np.stack(masks)).float()
    return Batch(images[:4], labels[:, None], images[4:], torch.from_numpy(distances)[:, None])


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_with_two_tasks_it_is_dtc_bit_for_bit(weight):
    batch, states = make_batch(), []
    two = make(tasks=("segmentation", "level_set"), weight=weight)
    for method in (two, make("dtc", weight=weight)):
        optimizers = method.optimizers(TrainingConfig(learning_rate=0.05))
        torch.manual_seed(1)
        for t in range(3):
            terms = step(optimizers, batch, Progress(t, 3))
        states.append((terms, method.state_dict()))
    (terms, state), (expected_terms, expected) = states
    assert terms == expected_terms and ("consistency" in terms) == bool(weight)
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_inner_distance_is_depth_and_its_transform_gives_the_labels_back():
    batch, task = make_batch(), inner_distance_task(0.1, 100.0)
    target = task.target(batch)
    contour = (batch.level_sets == 0) & (batch.labels == 1)
    assert contour.any() and torch.allclose(target[contour], torch.tensor(0.1 / 1.1))
    assert (target[batch.labels == 0] == 0).all() and target.max() == 1
    ball = target[1, 0, :, 5, 5]
    assert (ball[1:6].diff() > 0).all() and (ball[6:11].diff() < 0).all()
    assert (task.to_probability(target) - batch.labels).abs().max() < 0.02


def test_three_tasks_against_the_formulas():
    method, batch = make(k=5.0, beta=0.7).eval(), make_batch()
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    with torch.no_grad():
        terms = method.loss(batch, Progress(9, 10))
        f, t, d = (logits.double() for logits in method.network(images))
    f, t, d = f.sigmoid(), t.tanh(), d.sigmoid()
    depth = batch.labels * (0.1 - batch.level_sets) / 1.1
    error = ((d[:4] - depth) ** 2).mean()
    assert float(terms["inner_distance"].value) == pytest.approx(float(error), rel=1e-5)
    assert terms["inner_distance"].weight == terms["level_set"].weight == 0.7
    q = (f, (-5 * t).sigmoid(), (100 * (d - 0.05 / 1.1)).sigmoid())
    pairs = [float(((a - b) ** 2).mean()) for a, b in combinations(q, 2)]
    assert float(terms["consistency"].value) == pytest.approx(sum(pairs) / 3, rel=1e-5)


@pytest.mark.parametrize(
    "tasks",
    [("segmentation",), ("level_set", "segmentation"), ("segmentation", "level_set", "level_set")],
)
def test_tasks_begin_with_segmentation_and_are_several(tasks):
    with pytest.raises(UserError, match="must be segmentation"):
        make(tasks=tasks)
