"""Random numbers that are the same on every device: drawn on the CPU, then moved."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

DRAWS = (
    "bernoulli", "native_dropout", "normal", "rand", "rand_like", "randint", "randint_like",
    "randn", "randn_like", "randperm", "uniform",
)  # fmt: skip


class SameDraws(TorchDispatchMode):
    """While it is on, every draw takes from the CPU's generator, whatever the device."""

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None):
        name = function.overloadpacket.__name__
        named = dict(named or {})
        if name.rstrip("_") not in DRAWS:
            return function(*given, **named)
        if name.endswith("_") and name != "randn_like":  # in place
            target = given[0]
            host = function(target.cpu(), *given[1:], **named)
            return target.copy_(host)
        device = named.get("device") or next(
            (x.device for x in given if isinstance(x, torch.Tensor)), torch.device("cpu")
        )
        if "device" in named:
            named["device"] = torch.device("cpu")
        named.pop("pin_memory", None)
        on_host = tree_map(lambda x: x.cpu() if isinstance(x, torch.Tensor) else x, given)
        return tree_map(
            lambda x: x.to(device) if isinstance(x, torch.Tensor) else x,
            function(*on_host, **named),
        )
