"""BCP: its loss from the paper's formulas, its stages, its cuboid and its largest component."""

import numpy as np
import pytest
import torch
from skimage.measure import label as components
from torch.nn.functional import binary_cross_entropy

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.copy_paste import both_ways, outside_cuboid
from ssl_methods.methods.parts.largest_component import largest_component


def make(**settings):
    torch.manual_seed(0)
    return methods.create("bcp", network=NetworkConfig(width=2, levels=2), **settings).eval()


def make_batch(labeled=2, unlabeled=2):
    torch.manual_seed(1)
    images = torch.randn(labeled + unlabeled, 1, 8, 12, 8)
    labels = (torch.rand(labeled, 1, 8, 12, 8) > 0.7).float()
    return Batch(images[:labeled], labels, images[labeled:])


def test_second_stage_against_the_formulas():
    method, batch = make(recipe="as_released"), make_batch()
    bias = method.teacher.module.decoders[0].heads[0].bias
    bias -= method.teacher(batch.unlabeled_images)[0].median()  # half of the voxels above 0.5
    torch.manual_seed(2)
    terms = method.loss(batch, Progress(9, 10))
    torch.manual_seed(2)
    m = outside_cuboid(batch.labeled_images, 2 / 3)
    (la, lb), (ya, yb), (ua, ub) = batch.labeled_images, batch.labels, batch.unlabeled_images
    with torch.no_grad():
        guess = largest_component(method.teacher(batch.unlabeled_images)[0].sigmoid() >= 0.5)
        x = torch.stack([la * m + ua * (1 - m), ub * m + lb * (1 - m)])
        p1, p2 = method.network(x)[0].sigmoid()
    ga, gb = guess.float()
    assert 0 < guess.sum() < guess.numel()

    def dice(p, y, region):
        """Of foreground and background."""
        values = []
        for p_k, y_k in ((p, y), (1 - p, 1 - y)):
            both, sizes = (p_k * y_k * region).sum(), ((p_k + y_k) * region).sum()
            values.append(1 - (2 * both + 1e-5) / (sizes + 1e-5))
        return sum(values) / 2

    def entropy(p, y, region):
        return (binary_cross_entropy(p, y, reduction="none") * region).sum() / region.sum()

    for name, measure in (("dice", dice), ("cross_entropy", entropy)):
        known = measure(p1, ya, m) + measure(p2, yb, 1 - m)
        guessed = measure(p1, ga, 1 - m) + measure(p2, gb, m)
        torch.testing.assert_close(terms[name].value, known, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(terms[f"pseudo_{name}"].value, guessed, rtol=1e-4, atol=1e-5)
        assert (terms[name].weight, terms[f"pseudo_{name}"].weight) == (0.5, 0.25)


def test_first_stage_mixes_labeled_images_and_their_labels():
    """A network that returns its input shows the mixture: with images = labels it is its target."""
    method, batch = make(), make_batch()
    seen = []

    class Echo(torch.nn.Module):
        def forward(self, image):
            seen.append(image)
            return [100 * image - 50]

    method.network = Echo()
    terms = method.loss(Batch(batch.labels, batch.labels, batch.unlabeled_images), Progress(0, 17))
    assert sum(term.value for term in terms.values()) < 1e-6
    first, second = batch.labels
    outer, inner = seen[0][0] == first, seen[0][0] == second
    assert (outer | inner).all() and not outer.all() and not inner.all()
    assert terms.keys() == {"cross_entropy", "dice"}


def test_teacher_is_copied_when_the_first_stage_ends_and_averaged_after():
    method = make(decay=0.9)
    student, teacher = next(method.network.parameters()), next(method.teacher.parameters())
    expected = teacher.clone()
    for t in range(34):  # the first stage: 4 of 34
        with torch.no_grad():
            student += 1
        method.after_step(Progress(t, 34))
        a = min(1 - 1 / (t - 2), 0.9) if t >= 3 else 1
        expected = a * expected + (1 - a) * student.detach()
        torch.testing.assert_close(teacher, expected)


def test_released_teacher_has_its_decay_from_the_copy_on():
    method = make(recipe="as_released", decay=0.9)
    student, teacher = next(method.network.parameters()), next(method.teacher.parameters())
    expected = teacher.clone()
    for t in range(12):  # the first stage: 1 of 12
        with torch.no_grad():
            student += 1
        method.after_step(Progress(t, 12))
        a = 0.9 if t >= 1 else 0.0
        expected = a * expected + (1 - a) * student.detach()
        torch.testing.assert_close(teacher, expected)


def test_weight_zero_stays_in_the_first_stage():
    method, batch = make(weight=0.0), make_batch()
    before = next(method.teacher.parameters()).clone()
    assert method.loss(batch, Progress(9, 10)).keys() == {"cross_entropy", "dice"}
    method.after_step(Progress(9, 10))
    assert torch.equal(next(method.teacher.parameters()), before)


@pytest.mark.parametrize(("labeled", "unlabeled"), [(1, 1), (1, 3), (4, 2), (2, 5), (3, 0)])
def test_any_numbers_of_images(labeled, unlabeled):
    terms = make().loss(make_batch(labeled, unlabeled), Progress(9, 10))
    assert all(term.value.isfinite() for term in terms.values())
    if unlabeled:
        first, second = both_ways(labeled, unlabeled, torch.ones(2))
        assert len(first.labeled) == len(second.labeled)
        assert {*first.labeled.tolist(), *second.labeled.tolist()} == {*range(labeled)}
        assert {*first.unlabeled.tolist(), *second.unlabeled.tolist()} == {*range(unlabeled)}


def test_cuboid_has_its_size_and_every_place():
    torch.manual_seed(0)
    masks = [outside_cuboid(torch.zeros(1, 1, 6, 9), 2 / 3) for _ in range(200)]
    corners = set()
    for mask in masks:
        rows, columns = np.nonzero(mask.numpy() == 0)
        assert (np.ptp(rows), np.ptp(columns), len(rows)) == (3, 5, 24)
        corners.add((rows.min(), columns.min()))
    assert corners == {(i, j) for i in range(3) for j in range(4)}


@pytest.mark.parametrize("shape", [(2, 3, 20, 20), (2, 2, 10, 10, 10)])
def test_largest_component_against_skimage(shape):
    rng = np.random.default_rng(0)
    masks = rng.random(shape) < (0.25 if len(shape) == 4 else 0.05)
    masks[0, 0] = False
    kept = largest_component(torch.from_numpy(masks)).numpy()
    assert kept.dtype == bool
    for index in np.ndindex(shape[:2]):
        labels = components(masks[index])  # neighbours by face, edge and corner
        sizes = np.bincount(labels.ravel())[1:]
        expected = labels == sizes.argmax() + 1 if len(sizes) else masks[index]
        np.testing.assert_array_equal(kept[index], expected)
