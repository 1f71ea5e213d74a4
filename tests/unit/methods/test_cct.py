"""CCT: the loss from the paper's formula, the perturbations, and who is trained by what."""

import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.parts import feature_noise


def make(**settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0.0)
    return methods.create("cct", network=network, classes=2, **settings).eval()


def make_batch(unlabeled=2):
    torch.manual_seed(1)
    images = torch.randn(2 + unlabeled, 1, 8, 8, 8)
    return Batch(images[:2], (torch.rand(2, 2, 8, 8, 8) > 0.7).float(), images[2:])


def test_consistency_is_the_mean_over_the_auxiliary_decoders():
    method, batch = make(), make_batch()
    torch.manual_seed(2)
    term = method.loss(batch, Progress(10, 10))["consistency"]
    encoder, (main, *others) = method.network.encoder, method.network.decoders
    features = [
        level[2:] for level in encoder(torch.cat([batch.labeled_images, batch.unlabeled_images]))
    ]
    torch.manual_seed(2)
    noisy = [f * (1 + torch.empty(f.shape).uniform_(-0.3, 0.3)) for f in features]
    fewer = [torch.nn.functional.dropout3d(f, 0.3) for f in features]
    views = [noisy, fewer, [feature_noise.attention_dropout(f, 0.7, 0.9) for f in features]]
    target = main(features)[0].sigmoid()
    expected = [
        (g(view)[0].sigmoid() - target).square().mean()
        for g, view in zip(others, views, strict=True)
    ]
    torch.testing.assert_close(term.value, sum(expected) / 3)
    assert term.weight == pytest.approx(0.1)


def test_consistency_trains_the_encoder_and_the_auxiliary_decoders_only():
    method = make()
    method.loss(make_batch(), Progress(10, 10))["consistency"].value.backward()
    main, *others = method.network.decoders
    assert all(p.grad is None for p in main.parameters())
    for part in (method.network.encoder, *others):
        assert any(p.grad.abs().max() > 0 for p in part.parameters())


def test_weight_zero_is_supervised_with_the_same_main_decoder():
    method, batch = make(weight=0.0), make_batch()
    terms = method.loss(batch, Progress(10, 10))
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=0.0)
    alone = methods.create("supervised", network=network, classes=2).eval()
    for name, term in alone.loss(batch, Progress(10, 10)).items():
        assert torch.equal(term.value, terms.pop(name).value)
    assert not terms
    image = batch.unlabeled_images
    assert torch.equal(method.predict(image), alone.predict(image))


def test_perturbations():
    features = torch.rand(2, 400, 4, 4) + 0.5
    ratio = feature_noise.uniform_noise(features, 0.3) / features
    assert 0.7 <= ratio.min() < 0.71 and 1.29 < ratio.max() <= 1.3001
    kept = (feature_noise.channel_dropout(features, 0.3) / features).flatten(2)
    assert torch.equal(kept.amin(2) > 0, kept.amax(2) > 0)  # whole channels
    assert (kept[:, :, 0] > 0).float().mean() == pytest.approx(0.7, abs=0.07)
    peaked = torch.full((2, 3, 4, 4, 4), 0.5)
    peaked[0, :, 1, 2, 3] = 10.0
    peaked[1, :, 3, 2, 1] = 0.6  # the others are above 0.8 of it: nothing is left
    left = feature_noise.attention_dropout(peaked, 0.7, 0.8)
    assert (left[0, 0] == 0).sum() == 1 and left[0, 0, 1, 2, 3] == 0
    assert left[1].abs().max() == 0


def test_a_network_with_one_decoder_is_refused():
    with pytest.raises(UserError, match="several decoders"):
        methods.create("cct", network=NetworkConfig(name="monai:BasicUNet"))
