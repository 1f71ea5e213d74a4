"""CauSSL: the dependence of filters against linear algebra, and which step moves what."""

import numpy as np
import pytest
import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.methods.caussl import CauSSLConfig
from ssl_methods.methods.parts.dependence import dependence, filters, new_mixes
from ssl_methods.training.loop import step


def make(name="caussl", dimensions=3, dropout=0.0, **settings):
    torch.manual_seed(0)
    network = NetworkConfig(width=2, levels=2, dropout=dropout)
    return methods.create(name, network=network, dimensions=dimensions, **settings)


def mixed(method):
    return [*method.to_first, *method.to_second]


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(2, 1, 8, 8, 8, generator=g) > 0.7).float()
    images = torch.randn(5, 1, 8, 8, 8, generator=g)
    return Batch(images[:2], labels, images[2:])


def test_dependence_is_the_mean_squared_cosine_of_rows():
    random = np.random.default_rng(0)
    layers = [(random.normal(size=(n, k)), random.normal(size=(n, k))) for n, k in ((3, 5), (2, 9))]
    mixes = [random.normal(size=(n, n)) for n in (3, 2)]
    expected = []
    for (w, v), m in zip(layers, mixes, strict=True):
        mixed = m @ v
        norms = np.linalg.norm(w, axis=1) * np.linalg.norm(mixed, axis=1)
        expected.append(np.mean(((w * mixed).sum(1) / norms) ** 2))
    own, other = ([torch.tensor(pair[i]) for pair in layers] for i in (0, 1))
    found = dependence(own, other, map(torch.tensor, mixes))
    assert float(found) == pytest.approx(np.mean(expected))


def test_the_best_mix_gives_the_share_that_least_squares_explains():
    """Steps of Adam reach, for each row, the cosine of its projection on the other's row space."""
    g = torch.Generator().manual_seed(0)
    own, other = torch.randn(2, 3, 7, generator=g)
    mix = torch.nn.Parameter(1e-3 * torch.randn(3, 3, generator=g))
    adam = torch.optim.Adam([mix], 0.02)
    for _ in range(400):
        adam.zero_grad()
        (-dependence([own], [other], [mix])).backward()
        adam.step()
    projected = (np.linalg.pinv(other.numpy()) @ other.numpy() @ own.numpy().T).T
    explained = (projected**2).sum(1) / (own.numpy() ** 2).sum(1)
    found = float(dependence([own], [other], [mix]).detach())
    assert found == pytest.approx(explained.mean(), rel=1e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_convolution_counts_one_row_for_each_along_its_first_axis(dimensions):
    network = make(dimensions=dimensions).network
    kinds = (torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)
    weights = [module.weight for module in network.modules() if isinstance(module, kinds)]
    found = filters(network)
    assert sorted(f.shape[0] for f in found) == sorted(w.shape[0] for w in weights)
    assert sum(f.numel() for f in found) == sum(w.numel() for w in weights)
    assert [m.shape for m in new_mixes(network)] == [(len(f), len(f)) for f in found]


def test_the_networks_lower_the_dependence_and_the_mixes_raise_it(batch):
    method, progress = make(weight=0.0, ce_weight=0.0), Progress(5, 10)
    (networks, loss), (mixes, ascent) = method.optimizers(TrainingConfig(weight_decay=0.0))
    held = {id(p) for group in networks.param_groups for p in group["params"]}
    assert held.isdisjoint(id(p) for group in mixes.param_groups for p in group["params"])

    loss(batch, progress)["dependence"].value.backward()
    assert all(p.grad is None for p in mixed(method))
    method.zero_grad()
    (term,) = ascent(batch, progress).values()
    (term.weight * term.value).backward()
    assert all(p.grad is None for p in method.network.parameters())
    assert any(bool(p.grad.any()) for p in mixed(method))

    def now():
        return float(loss(batch, progress)["dependence"].value.detach())

    start = now()
    for _ in range(20):
        step([(mixes, ascent)], batch, progress)
    sought = now()
    for _ in range(20):
        networks.zero_grad()
        loss(batch, progress)["dependence"].value.backward()
        networks.step()
    assert sought > start + 0.05 and now() < sought - 0.01


def test_before_its_start_filters_and_mixes_are_left_alone(batch):
    method, before = make(start=0.5), [p.clone() for p in mixed(make())]
    optimizers = method.optimizers(TrainingConfig())
    for t in range(6):
        terms = step(optimizers, batch, Progress(t, 10))
        moved = not all(map(torch.equal, before, mixed(method)))
        assert moved == ("dependence" in terms) == (t == 5)
    assert terms["dependence"].weight == 3


def test_until_then_it_is_cross_supervision_step_for_step(batch):
    method, pair = make(start=0.9), make("cps", weight=0.03)
    pair.second.load_state_dict(method.second.state_dict())
    for one in (method, pair):
        optimizers = one.optimizers(TrainingConfig())
        for t in range(3):
            step(optimizers, batch, Progress(t, 10))
    for mine, theirs in ((method.network, pair.network), (method.second, pair.second)):
        assert all(map(torch.equal, mine.parameters(), theirs.parameters()))


def test_the_released_loop():
    loop = CauSSLConfig.released_training(TrainingConfig())
    assert (loop.flip_axes, loop.rotate, loop.learning_rate_steps) == ((), False, (0.5,))
