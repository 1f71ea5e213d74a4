"""CAML: its correlation voxel by voxel, its attention, its memory, and which network predicts."""

import math

import pytest
import torch
from torch import nn

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.caml import CAMLConfig, with_none
from ssl_methods.methods.parts.correlation import Correlation
from ssl_methods.methods.parts.sample_attention import SampleAttention


def make(classes=1, dimensions=2, width=4, meaning="independent", **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=width, levels=2, dropout=0.0, classes=meaning)
    return methods.create(
        "caml", network=network, classes=classes, dimensions=dimensions, **settings
    )


def make_batch(unlabeled=2, classes=1):
    g = torch.Generator().manual_seed(1)
    images = torch.randn(2 + unlabeled, 1, 8, 8, generator=g)
    labels = (torch.rand(2, classes, 8, 8, generator=g) > 0.6).float()
    return Batch(images[:2], labels, images[2:])


def plain(channels, classes):
    """Its networks hand their vectors on."""
    part = Correlation(channels, classes)
    part.memory = torch.zeros(1 + classes, 256, channels)
    part.projections = nn.ModuleList([nn.Identity(), nn.Identity()])
    part.predictions = nn.ModuleList([nn.Identity(), nn.Identity()])
    return part


def test_voxels_are_compared_with_what_is_remembered_of_every_class():
    """Three of four voxels are agreed on, of which the surest two of the background count."""
    part = plain(2, 1)
    part.memory[0, :2] = torch.tensor([[0.1, 0.0], [0.0, 0.2]])
    part.memory[1, :2] = torch.tensor([[0.3, 0.1], [9.0, 9.0]])
    part.held = torch.tensor([2, 1])  # one vector alone is not enough
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [5.0, 5.0]]).T.view(1, 2, 4)
    second = torch.tensor([[0.5, 0.5], [1.0, 0.0], [1.0, 1.0], [5.0, 5.0]]).T.view(1, 2, 4)
    agreed = torch.tensor([[[1, 1, 1, 0], [0, 0, 0, 0]]]) > 0
    sure = torch.tensor([[[0.6, 0.9, 0.7, 0.99]]])
    value = part((first, second), agreed, sure, 2)

    def softmax(x, y):
        a, b = math.exp(x), math.exp(y)
        return a / (a + b), b / (a + b)

    total = 0
    for (u, v), (s, t) in (((0, 1), (1, 0)), ((2, 1), (1, 1))):
        c, d = softmax(u * 0.1 / 0.1, v * 0.2 / 0.1), softmax(s * 0.1 / 0.1, t * 0.2 / 0.1)
        total -= d[0] * math.log(c[0]) + d[1] * math.log(c[1])
    assert float(value) == pytest.approx(total / 2, rel=1e-5)
    part.held = torch.tensor([1, 1])
    assert float(part((first, second), agreed, sure, 2)) == 0
    part.held = torch.tensor([2, 2])
    assert float(part((first, second), agreed & False, sure, 2)) == 0


def test_the_memory_is_a_ring_of_the_mean_of_both_networks():
    part = plain(2, 2)
    right = torch.zeros(2, 3, 10, 10)
    right[0, 1, 2], right[1, 1, 7] = 1, 1  # twenty voxels
    for step in range(1, 20):
        features = torch.full((2, 2, 10, 10), float(step))
        part.remember((features, features + 2), right, 16)
        assert part.held.tolist() == [0, min(16 * step, 256), 0]
        assert torch.equal(part.memory[1, :16], torch.full((16, 2), step + 1.0))
    oldest = part.memory[1].amin()
    assert oldest == 19 + 1 - 15 and not part.memory[0].any() and not part.memory[2].any()
    part.remember((5 * features, 5 * features), right, 99)
    assert (part.memory[1] == 95).all(1).sum() == 20  # all there are
    assert {"memory", "held"} <= part.state_dict().keys()


def test_what_is_drawn_for_the_memory_are_voxels_of_the_class_each_at_most_once():
    torch.manual_seed(0)
    part = plain(1, 1)
    features = torch.arange(200.0).view(2, 1, 10, 10)
    right = torch.stack([features % 2 == 0, features % 2 == 1], 1).flatten(1, 2)
    part.remember((features, features), right, 50)
    for k in range(2):
        found = part.memory[k, :50, 0].tolist()
        assert len(set(found)) == 50 and all(int(it) % 2 == k for it in found)


def test_attention_is_within_images_then_across_them_and_rests_when_not_training():
    torch.manual_seed(0)
    attention = SampleAttention(8, 0.0)
    features = torch.randn(3, 8, 2, 5)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        found = attention(features)
        attention.within.train()
        seen = torch.stack([attention.within(x.flatten(1).T[:, None])[:, 0] for x in features])
        columns = [attention.across(seen[:, i][:, None])[:, 0] for i in range(10)]
        expected = torch.stack(columns, 2).view(3, 8, 2, 5)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(attention.eval()(features), features)


@pytest.mark.parametrize("classes", [1, 3])
def test_terms_against_their_formulas(classes):
    method, batch = make(classes, temperature=0.5).train(), make_batch(classes=classes)
    seen = []
    method.shared.register_forward_hook(lambda module, given, value: seen.append(given))
    torch.manual_seed(3)
    terms = method.loss(batch, Progress(9, 10))
    torch.manual_seed(3)
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    (zv, fv), (za, fa) = method.network(images), method.second(images)
    pv, pa = zv.sigmoid(), za.sigmoid()
    sharp = [p**2 / (p**2 + (1 - p) ** 2) for p in (pv, pa)]
    expected = (pv - sharp[1]).square().mean() + (pa - sharp[0]).square().mean()
    torch.testing.assert_close(terms["consistency"].value, expected)
    rise = math.exp(-5 * 0.1**2)
    assert terms["consistency"].weight == pytest.approx(rise)
    assert terms["correlation"].weight == pytest.approx(0.05 * rise)

    ((features, agreed, sure, most),) = seen
    torch.testing.assert_close(features[0], fv[2:])
    torch.testing.assert_close(features[1], fa[2:])
    agreement = [(zv[2:, k] > 0) & (za[2:, k] > 0) for k in range(classes)]
    none = [((zv[2:] > 0).sum(1) + (za[2:] > 0).sum(1)) == 0]
    assert torch.equal(agreed, torch.stack(none + agreement, 1))
    torch.testing.assert_close(sure[:, 0], 0.5 + (pv[2:] - 0.5).abs().min(1).values)
    assert most == 12800 and not sure.requires_grad


def test_of_exclusive_classes_the_networks_agree_on_one_or_the_background():
    method, batch = make(2, meaning="exclusive").train(), make_batch(classes=2)
    batch.labels[:, 1] *= 1 - batch.labels[:, 0]
    seen = []
    method.shared.register_forward_hook(lambda module, given, value: seen.append(given))
    torch.manual_seed(3)
    method.loss(batch, Progress(9, 10))
    torch.manual_seed(3)
    images = torch.cat([batch.labeled_images, batch.unlabeled_images])
    zs = [network(images)[0][2:] for network in (method.network, method.second)]
    p, q = (torch.cat([torch.zeros_like(z[:, :1]), z], 1).softmax(1) for z in zs)
    ((_, agreed, sure, _),) = seen
    for k in range(3):
        both = (p.argmax(1) == k) & (q.argmax(1) == k)
        assert torch.equal(agreed[:, k], both)
    torch.testing.assert_close(sure[:, 0], p.max(1).values.detach())


def test_the_network_without_attention_predicts():
    method, image = make().eval(), make_batch().labeled_images
    assert torch.equal(method.predict(image), method.network(image)[0].sigmoid())
    kinds = [[type(m) for m in net.modules()] for net in (method.network, method.second)]
    assert SampleAttention not in kinds[0] and SampleAttention in kinds[1]


def test_all_labeled_the_networks_agree_on_these_and_at_weight_0_they_learn_alone():
    terms = make().train().loss(make_batch(unlabeled=0), Progress(10, 10))
    assert terms.keys() == {"cross_entropy", "dice", "consistency"}
    terms = make(weight=0.0).train().loss(make_batch(), Progress(10, 10))
    assert terms.keys() == {"cross_entropy", "dice"}


def test_networks_that_cannot_are_refused():
    with pytest.raises(UserError, match="has 6 features, which 4 heads"):
        make(width=6)
    with pytest.raises(UserError, match="cannot give the features before its head"):
        methods.create("caml", network=NetworkConfig(name="monai:SegResNet"))


def test_the_released_settings_by_the_number_of_labels():
    for labeled, steps, fraction, share in ((4, 40, 0.4, 64), (8, 20, 0.2, 32), (16, 15, 0.15, 16)):
        found = CAMLConfig(**CAMLConfig.released(labeled))
        assert (found.ramp_steps, found.ramp_fraction, found.share) == (steps, fraction, share)
    assert CAMLConfig.released(None) == CAMLConfig.released(5) == CAMLConfig.as_released
    loop = CAMLConfig.released_training(TrainingConfig())
    assert loop.learning_rate_schedule == "constant"


def test_the_background_is_where_no_class_is():
    labels = torch.tensor([[[0, 1, 1], [0, 0, 1]]])
    assert with_none(labels).int().tolist() == [[[1, 0, 0], [0, 1, 1], [0, 0, 1]]]
