"""Exclusive classes against PyTorch's softmax of K + 1 channels; of one class against sigmoids."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from ssl_methods import losses, methods
from ssl_methods.checks.materials import make
from ssl_methods.classes import INDEPENDENT, Classes
from ssl_methods.config import EvaluationConfig, NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.evaluation.inference import Predictor
from ssl_methods.level_set import signed_distance, to_probability
from ssl_methods.methods.fixmatch import pseudo_label_loss
from ssl_methods.methods.parts.confident import confident_dice
from ssl_methods.methods.parts.jensen_shannon import jensen_shannon
from ssl_methods.methods.parts.sharpening import sharpen
from ssl_methods.methods.parts.two_networks import cross_supervision
from ssl_methods.methods.r_drop import symmetric_divergence
from ssl_methods.methods.urpc import rectified_consistency

EXCLUSIVE = Classes(exclusive=True)


def logits(seed: int = 0, classes: int = 3, scale: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(2, classes, 6, 5, generator=generator)


def labels(classes: int = 3) -> torch.Tensor:
    """Label maps (2, 6, 5), 0..classes."""
    return torch.randint(classes + 1, (2, 6, 5), generator=torch.Generator().manual_seed(9))


def one_hot(label: torch.Tensor, classes: int = 3) -> torch.Tensor:
    return functional.one_hot(label, classes + 1).movedim(-1, 1)[:, 1:].float()


def softmax(z: torch.Tensor) -> torch.Tensor:
    """Of K + 1 channels whose common level is any number: background first."""
    whole = torch.cat([torch.zeros_like(z[:, :1]), z], 1) + 3.7
    return whole.softmax(1)


def test_probabilities_are_those_of_a_softmax_whatever_its_level():
    z = logits()
    torch.testing.assert_close(EXCLUSIVE.probability(z), softmax(z)[:, 1:])
    outcomes = EXCLUSIVE.outcomes(EXCLUSIVE.probability(z))
    assert outcomes.shape == (4, 2, 1, 6, 5)
    torch.testing.assert_close(outcomes[:, :, 0].movedim(0, 1), softmax(z))
    torch.testing.assert_close(EXCLUSIVE.log_outcomes(z).exp(), outcomes)
    torch.testing.assert_close(EXCLUSIVE.of_outcomes(outcomes), EXCLUSIVE.probability(z))


def test_cross_entropy_entropy_and_squares_equal_those_of_the_whole_softmax():
    z, w, y = logits(0), logits(1), labels()
    whole = torch.cat([torch.zeros_like(z[:, :1]), z], 1)
    p, q = EXCLUSIVE.probability(z), EXCLUSIVE.probability(w)
    torch.testing.assert_close(
        losses.cross_entropy(z, one_hot(y), EXCLUSIVE), functional.cross_entropy(whole, y)
    )
    torch.testing.assert_close(
        losses.mean_squared(p, q, EXCLUSIVE), functional.mse_loss(softmax(z), softmax(w))
    )
    expected = torch.distributions.Categorical(softmax(z).movedim(1, -1)).entropy()
    torch.testing.assert_close(EXCLUSIVE.entropy(p)[:, 0], expected)
    both = torch.cat([torch.zeros_like(y[:, None]) == y[:, None], one_hot(y)], 1).float()
    torch.testing.assert_close(
        losses.dice(p, one_hot(y), "plain", "both", classes=EXCLUSIVE),
        losses.dice(softmax(z), both, "plain"),
    )
    left, right = (torch.distributions.Categorical(softmax(x).movedim(1, -1)) for x in (z, w))
    kl = torch.distributions.kl_divergence
    expected = (kl(left, right) + kl(right, left)) / 2
    torch.testing.assert_close(
        symmetric_divergence(z, w, EXCLUSIVE)[:, 0], expected, rtol=1e-4, atol=1e-6
    )
    mean = torch.distributions.Categorical((left.probs + right.probs) / 2)
    expected = (mean.entropy() - (left.entropy() + right.entropy()) / 2).mean()
    torch.testing.assert_close(jensen_shannon(z, w, EXCLUSIVE), expected, rtol=1e-4, atol=1e-6)


def test_the_likeliest_outcome_is_the_argmax_background_included():
    z, w = logits(0), logits(1)
    p, q = EXCLUSIVE.probability(z), EXCLUSIVE.probability(w)
    expected = one_hot(softmax(z).argmax(1))
    assert torch.equal(EXCLUSIVE.likeliest(p), expected)
    assert torch.equal(EXCLUSIVE.likeliest_of(z), expected)
    assert (expected.sum(1) == 0).any() and (p.amax(1)[expected.sum(1) > 0] < 0.5).any()
    torch.testing.assert_close(EXCLUSIVE.sureness(p)[:, 0], softmax(z).amax(1))
    assert torch.equal(EXCLUSIVE.differ(p, q)[:, 0], softmax(z).argmax(1) != softmax(w).argmax(1))
    ties = torch.zeros(1, 3, 2, 2)
    assert not EXCLUSIVE.likeliest_of(ties).any()  # background comes first
    ties[:, 1:] = 1.0
    assert EXCLUSIVE.likeliest_of(ties)[0, :, 0, 0].tolist() == [0, 1, 0]


def test_sharpening_raises_to_a_power_and_divides_by_the_sum():
    z = logits()
    powers = softmax(z) ** (1 / 0.4)
    expected = (powers / powers.sum(1, keepdim=True))[:, 1:]
    found = sharpen(EXCLUSIVE.probability(z), 0.4, EXCLUSIVE)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@given(st.integers(0, 1000), st.sampled_from([0.1, 3.0, 40.0]))
def test_of_one_class_they_are_what_independent_ones_are(seed, scale):
    z, w, y = logits(seed, 1, scale), logits(seed + 1, 1, scale), one_hot(labels(1), 1)
    pairs = []
    for classes in (INDEPENDENT, EXCLUSIVE):
        p, q = classes.probability(z), classes.probability(w)
        config = methods.method_class("unimatch").Config()
        pairs.append(
            [
                p,
                losses.cross_entropy(z, y, classes),
                losses.dice(p, y, "plain", "both", classes=classes),
                losses.mean_squared(p, q, classes),
                classes.likeliest(p),
                classes.differ(p, q),
                classes.sureness(p),
                classes.entropy(p),
                sharpen(p, 0.5, classes),
                jensen_shannon(z, w, classes),
                symmetric_divergence(z, w, classes),
                rectified_consistency([z, w], classes),
                cross_supervision(z, w, classes),
                pseudo_label_loss(z, w, 0.7, classes),
                confident_dice(config, z, q, 0.7, classes=classes),
                to_probability(z.tanh(), 20.0, classes),
            ]
        )
    for left, right in zip(*pairs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


def test_level_sets_of_touching_classes_give_the_label_map_back():
    label = np.zeros((20, 24), np.uint8)
    label[4:14, 3:12], label[4:14, 12:20], label[8:10, 6:18] = 1, 2, 3
    masks = [label == value for value in (1, 2, 3)]
    z = torch.from_numpy(np.stack([signed_distance(mask) for mask in masks]))[None]
    p = to_probability(z, 1500.0, EXCLUSIVE)
    assert float(p.sum(1).max()) <= 1 + 1e-6
    certain = z.abs().amin(1) > 0  # a contour's voxel lies between its class and background
    expected = torch.from_numpy(np.stack(masks)).float()[None]
    where = certain[:, None].expand_as(p)
    torch.testing.assert_close(p[where], expected[where])
    assert torch.allclose(p[z == 0], torch.tensor(0.5))


def test_the_setting_reaches_the_method_and_one_class_stays_a_sigmoid():
    network = NetworkConfig(width=2, levels=2, classes="exclusive")
    several = methods.create("dtc", network=network, classes=3, dimensions=2).eval()
    assert several.classes == EXCLUSIVE
    p = several.predict(torch.randn(1, 1, 8, 8))
    assert p.shape == (1, 3, 8, 8) and p.sum(1).max() <= 1 + 1e-6
    alone = methods.create("dtc", network=network, classes=1, dimensions=2)
    assert alone.classes == INDEPENDENT
    with pytest.raises((UserError, ValueError), match="exclusive"):
        NetworkConfig(classes="exclusiv")


@pytest.mark.parametrize("name", methods.names())
def test_every_method_predicts_exclusive_classes(name):
    method = make(name, classes=3, dimensions=2, exclusive=True).eval()
    with torch.no_grad():
        p = method.predict(torch.randn(2, 1, 16, 16))
    assert p.min() >= 0 and p.sum(1).max() <= 1 + 1e-5


def test_a_method_that_knows_sigmoids_alone_is_refused_where_classes_exclude_one_another():
    image = np.zeros((1, 8, 8), np.float32)

    def predictor(exclusive: bool) -> Predictor:
        at = EvaluationConfig(), torch.device("cpu"), exclusive
        return Predictor(lambda x: x.expand(-1, 3, -1, -1).sigmoid(), (8, 8), 3, *at)

    assert not predictor(False).labels(image).any()
    with pytest.raises(UserError, match=r"sum to 1\.500; .*self\.classes\.probability"):
        predictor(True).labels(image)
