"""The optimiser is PyTorch's; that it does not bring the compiler with it is in test_startup.py."""

import copy

import torch
from torch.optim import SGD

from ssl_methods.methods.parts.uncompiled_sgd import UncompiledSGD

SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}


def steps(optimizer, network, count: int) -> None:
    for t in range(count):
        generator = torch.Generator().manual_seed(t)
        optimizer.zero_grad()
        network(torch.randn(4, 3, generator=generator)).square().mean().backward()
        optimizer.step()


def test_the_steps_and_the_state_are_those_of_pytorch():
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    theirs = copy.deepcopy(ours)
    optimizer, expected = (
        kind(net.parameters(), **SETTINGS) for kind, net in ((UncompiledSGD, ours), (SGD, theirs))
    )
    start = copy.deepcopy(ours.state_dict())
    steps(optimizer, ours, 5)
    steps(expected, theirs, 5)

    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
        assert not torch.equal(start[name], value)
    state, expected_state = optimizer.state_dict(), expected.state_dict()
    assert state["param_groups"] == expected_state["param_groups"]
    for index, found in expected_state["state"].items():
        assert torch.equal(state["state"][index]["momentum_buffer"], found["momentum_buffer"])

    resumed = copy.deepcopy(ours)
    after = UncompiledSGD(resumed.parameters(), lr=1.0)
    after.load_state_dict(copy.deepcopy(expected_state))
    steps(after, resumed, 3)
    steps(expected, theirs, 3)
    for name, value in theirs.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)
