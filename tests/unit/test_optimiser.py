"""The optimisers are PyTorch's, and none brings the compiler with it."""

import copy
import subprocess
import sys

import pytest
import torch
from torch.optim import SGD, Adam, AdamW

from ssl_methods.config import TrainingConfig
from ssl_methods.optimiser import make_optimizer

COMMON = {"lr": 0.1, "weight_decay": 1e-2}
BETAS = {"betas": (0.8, 0.95)}
KINDS = {"sgd": (SGD, {"momentum": 0.7}), "adam": (Adam, BETAS), "adamw": (AdamW, BETAS)}


def training(kind: str, **changed) -> TrainingConfig:
    settings = {"learning_rate": 0.1, "weight_decay": 1e-2, "momentum": 0.7, **BETAS, **changed}
    return TrainingConfig(optimizer=kind, **settings)


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))


def steps(optimizer, net, count: int) -> None:
    for t in range(count):
        generator = torch.Generator().manual_seed(t)
        optimizer.zero_grad()
        net(torch.randn(4, 3, generator=generator)).square().mean().backward()
        optimizer.step()


def same(ours, theirs) -> None:
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize("name", KINDS)
def test_the_steps_and_the_state_are_those_of_pytorch(name):
    kind, own = KINDS[name]
    ours, theirs, start = network(), network(), network()
    optimizer = make_optimizer(ours, training(name))
    expected = kind(theirs.parameters(), **COMMON, **own)
    steps(optimizer, ours, 5)
    steps(expected, theirs, 5)
    same(ours, theirs)
    assert not torch.equal(start[0].weight, ours[0].weight)
    state = optimizer.state_dict()["state"]
    for index, found in expected.state_dict()["state"].items():
        assert found.keys() == state[index].keys()
        assert all(torch.equal(state[index][key], found[key]) for key in found)

    resumed = copy.deepcopy(ours)
    after = make_optimizer(resumed, training(name, learning_rate=1.0))
    after.load_state_dict(copy.deepcopy(expected.state_dict()))
    steps(after, resumed, 3)
    steps(expected, theirs, 3)
    same(resumed, theirs)


def test_what_is_frozen_has_no_optimiser():
    net = network()
    net[0].requires_grad_(False)
    (group,) = make_optimizer(net, TrainingConfig()).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in net[2].parameters()]


def test_no_step_imports_the_compiler():
    code = (
        "import sys, torch\n"
        "from ssl_methods.config import TrainingConfig\n"
        "from ssl_methods.optimiser import make_optimizer\n"
        f"for kind in {list(KINDS)}:\n"
        "    net = torch.nn.Linear(2, 1)\n"
        "    optimizer = make_optimizer(net, TrainingConfig(optimizer=kind))\n"
        "    net(torch.ones(1, 2)).sum().backward()\n"
        "    optimizer.step(); optimizer.zero_grad(); optimizer.state_dict()\n"
        "    print(kind, 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{kind} False" for kind in KINDS]
