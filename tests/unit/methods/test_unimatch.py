"""UniMatch: its terms for several classes, written afresh, and what they leave alone."""

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts import boxed_views


def make(**settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0.0)
    return methods.create("unimatch", network=network, classes=3, **settings).train()


def make_batch(labeled=2, unlabeled=3):
    torch.manual_seed(1)
    images = torch.randn(labeled + unlabeled, 1, 8, 12, 8)
    labels = (torch.rand(labeled, 3, 8, 12, 8) > 0.7).float()
    return Batch(images[:labeled], labels, images[labeled:])


def test_terms_of_three_classes(monkeypatch):
    """Nothing dropped, no change of intensities: the views differ by their boxes alone."""
    method, batch = make(confidence=0.6, strength=0.0, dropout=0.0), make_batch()
    boxes = [torch.rand(3, 1, 8, 12, 8) > 0.6, torch.rand(3, 1, 8, 12, 8) > 0.8]
    left = iter(boxes)
    monkeypatch.setattr(boxed_views, "area_boxes", lambda images: next(left))
    terms = method.loss(batch, Progress(10, 10))

    method = make(confidence=0.6)
    u, others = batch.unlabeled_images, [2, 0, 1]
    with torch.no_grad():
        aside = method.eval().predict(u)[others]
        # Plain and perturbed features are the same here, so that doubling them changes no mean.
        plain = method.train().network(torch.cat([batch.labeled_images, u]))[0][2:].sigmoid()
        mixed = torch.cat([torch.where(box, u[others], u) for box in boxes])
        seen = method.network(mixed)[0].sigmoid()

    def dice(p, q):
        values, sure = [], torch.maximum(q, 1 - q) >= 0.6
        for k in range(3):
            kept = sure[:, k]
            a, b = p[:, k][kept], (q[:, k][kept] > 0.5).float()
            for x, y in ((a, b), (1 - a, 1 - b)):
                values.append(1 - (2 * (x * y).sum() + 1e-5) / ((x**2 + y**2).sum() + 1e-5))
        return sum(values) / 6

    targets = [torch.where(box, aside, plain) for box in boxes]
    expected = (dice(seen[:3], targets[0]) + dice(seen[3:], targets[1])) / 2
    found = terms["strong_views"]
    torch.testing.assert_close(found.value.detach(), expected, rtol=1e-4, atol=1e-5)
    found = terms["fewer_features"].value.detach()
    torch.testing.assert_close(found, dice(plain, plain), rtol=1e-4, atol=1e-5)
    assert terms["strong_views"].weight == terms["fewer_features"].weight == 0.5


def test_a_guess_learns_nothing_from_the_views_it_teaches():
    """With nothing confident there is neither a loss nor a gradient from unlabeled images."""
    method, batch = make(confidence=0.999), make_batch()
    terms = method.loss(batch, Progress(10, 10))
    for title in ("strong_views", "fewer_features"):
        assert terms[title].value.item() == 0
    unlabeled = terms["strong_views"].value + terms["fewer_features"].value
    parameters = list(method.network.parameters())
    found = torch.autograd.grad(unlabeled, parameters, allow_unused=True)
    assert not any(g.any() for g in found if g is not None)


@pytest.mark.parametrize("unlabeled", [0, 1, 3])
def test_any_number_of_unlabeled_images(unlabeled):
    terms = make().loss(make_batch(1, unlabeled), Progress(9, 10))
    assert all(term.value.isfinite() for term in terms.values())
    assert len(terms) == (4 if unlabeled else 2)


def test_evaluation_mode_is_for_the_other_images_alone():
    method, seen = make(), []
    norm = next(m for m in method.modules() if isinstance(m, torch.nn.BatchNorm3d))
    norm.register_forward_hook(lambda module, *_: seen.append(module.training))
    method.loss(make_batch(), Progress(9, 10))
    assert seen == [False, True, True] and all(module.training for module in method.modules())


def test_released_batch_is_of_slices():
    released = methods.method_class("unimatch").Config.released_training
    slices, scans = released(TrainingConfig(patch_size=(256, 256))), released(TrainingConfig())
    assert (slices.labeled_batch, slices.unlabeled_batch) == (12, 12)
    assert (scans.labeled_batch, scans.unlabeled_batch) == (2, 2)


def test_a_network_without_parts_is_refused():
    with pytest.raises(UserError, match="monai:BasicUNet cannot give an encoder's features"):
        methods.create("unimatch", network=NetworkConfig(name="monai:BasicUNet"))
