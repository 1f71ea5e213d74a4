"""SS-Net: its terms against their formulas, what it remembers, what its passes leave alone."""

import pytest
import torch
from torch.nn import functional

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts.class_contrast import ClassContrast
from ssl_methods.methods.ss_net import SSNetConfig
from ssl_methods.training.acceleration import compile_networks


def make(classes=1, dimensions=3, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0.0)
    return methods.create(
        "ss_net", network=network, classes=classes, dimensions=dimensions, **settings
    )


def make_batch(unlabeled=3, classes=1):
    g = torch.Generator().manual_seed(1)
    images = torch.randn(2 + unlabeled, 1, 8, 8, 8, generator=g)
    labels = (torch.rand(2, classes, 8, 8, 8, generator=g) > 0.6).float()
    return Batch(images[:2], labels, images[2:])


class Times(torch.nn.Module):
    """Logits of so many times the image, voxel by voxel."""

    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return [self.factor * images, images]


def test_the_change_that_is_feared_follows_one_gradient_from_a_random_start():
    """Of voxels that are predicted alone, so that the gradient is known in closed form."""
    method, images = make(radius=2.0), make_batch().unlabeled_images
    method.network = Times(3.0)
    torch.manual_seed(5)
    start = torch.rand(images.shape) - 0.5
    p = torch.sigmoid(3 * images)
    changed = []
    for image, noise, there in zip(images, start, p, strict=True):
        q = torch.sigmoid(3 * (image + 2 * noise / noise.norm()))
        rise = (1 - 2 * there) * q * (1 - q)  # of p (1 - q) + (1 - p) q
        changed.append(image + 2 * rise / rise.norm())
    q = torch.sigmoid(3 * torch.stack(changed))
    torch.manual_seed(5)
    value = method.roughness(images)
    torch.testing.assert_close(value, (p + q - 2 * p * q).mean())
    value.backward()
    assert method.network.factor.grad.abs() > 0


def test_no_perturbed_image_moves_the_running_statistics():
    method, images = make().train(), make_batch().unlabeled_images
    other = make().train()
    other.load_state_dict(method.state_dict())
    method.roughness(images)
    other.network(images)
    for (name, found), expected in zip(
        method.network.named_buffers(), other.network.buffers(), strict=True
    ):
        torch.testing.assert_close(found, expected, msg=name)
    assert all(m.track_running_stats for m in method.modules() if hasattr(m, "running_mean"))


@pytest.mark.parametrize("voxels", [2, 20, 70])
def test_what_is_remembered_are_right_voxels_of_lowest_score(voxels):
    torch.manual_seed(0)
    part = ClassContrast(3, 2)
    features, right = torch.randn(1, 3, 10, 10), torch.zeros(1, 2, 10, 10)
    right[0, 1].view(-1)[torch.randperm(100)[:voxels]] = 1
    right[0, 0, 4, 4] = 1  # one alone is not enough
    with torch.no_grad():
        part.eval()
        rows = part.projection(features[0].flatten(1).T)[right[0, 1].flatten() > 0]
        part.train()
        order = part.scorers[1](rows)[:, 0].sort().indices
    part.remember(features, right)
    assert not part.memory[0].any()
    expected = rows[order[:32]]
    for vector in part.memory[1]:
        assert (vector - expected).abs().amax(1).min() < 1e-6
    for vector in expected:
        assert (part.memory[1] - vector).abs().amax(1).min() < 1e-6
    before = part.memory.clone()
    part.remember(features, torch.zeros_like(right))
    assert torch.equal(part.memory, before) and "memory" in part.state_dict()


def test_each_class_is_compared_with_its_own_memory():
    """Two classes that overlap; of a third there is no voxel."""
    torch.manual_seed(0)
    part = ClassContrast(3, 3)
    part.memory.normal_()
    features, labels = torch.randn(2, 3, 6, 6), (torch.rand(2, 3, 6, 6) > 0.5).float()
    labels[:, 2] = 0
    value, total = part(features, labels), 0
    q = part.prediction(part.projection(features.permute(0, 2, 3, 1).reshape(-1, 3)))
    for k in range(2):
        own = q[labels[:, k].flatten() > 0]
        weights = part.scorers[k](own).sigmoid()
        cosines = functional.cosine_similarity(own[:, None], part.memory[k][None], dim=2)
        total = total + (weights / weights.mean() * (1 - cosines)).mean()
    torch.testing.assert_close(value, total / 4)
    assert float(part(features, torch.zeros_like(labels)).detach()) == 0


def test_all_labeled_both_terms_are_left_and_at_weight_0_none():
    terms = make().train().loss(make_batch(unlabeled=0), Progress(10, 10))
    assert {"contrast", "smoothness"} < terms.keys() and terms["contrast"].weight == 0.1
    terms = make(weight=0.0).train().loss(make_batch(), Progress(10, 10))
    assert terms.keys() == {"cross_entropy", "dice"}


def test_compiled_it_has_the_same_gradient():
    found = []
    for compiled in (False, True):
        method = make().train()
        if compiled:
            compile_networks(method, "compile", torch.device("cpu"), backend="aot_eager")
        torch.manual_seed(2)
        terms = method.loss(make_batch(), Progress(10, 10))
        sum(term.weight * term.value for term in terms.values()).backward()
        found.append(torch.cat([p.grad.flatten() for p in method.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-6)


def test_a_network_without_features_is_refused():
    with pytest.raises(UserError, match="cannot give the features before its head"):
        methods.create("ss_net", network=NetworkConfig(name="monai:SegResNet"))


def test_the_released_loop():
    loop = SSNetConfig.released_training(TrainingConfig())
    assert loop.learning_rate_steps == pytest.approx([2500 * n / 15_000 for n in range(1, 6)])
