"""Random numbers that are the same in every precision and memory layout, and on every device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

ATEN = torch.ops.aten
CPU = torch.device("cpu")


class SameDraws(TorchDispatchMode):
    """While it is on, every draw is made on the CPU, in float32 and in the order of axes.

    It is then cast and moved to where it is wanted.
    """

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in function.tags:
            return function(*args, **kwargs)
        first = next((it for it in args if isinstance(it, Tensor)), None)
        device = kwargs.get("device") or (CPU if first is None else first.device)
        wanted = kwargs.get("dtype") or (
            first.dtype
            if first is not None and first.is_floating_point()
            else torch.get_default_dtype()
        )

        def on_host(it: Any) -> Any:
            if not isinstance(it, Tensor):
                return it
            dtype = torch.float32 if it.is_floating_point() else it.dtype
            return it.to(CPU, dtype, memory_format=torch.contiguous_format)

        def back(it: Any) -> Any:
            if not isinstance(it, Tensor):
                return it
            return it.to(device, wanted if it.is_floating_point() else it.dtype)

        kwargs.pop("pin_memory", None)
        if "device" in kwargs:
            kwargs["device"] = CPU
        if function.overloadpacket in (ATEN.rand, ATEN.randn) or (
            "dtype" in kwargs and wanted.is_floating_point
        ):
            kwargs["dtype"] = torch.float32
        drawn = function(*tree_map(on_host, args), **kwargs)
        if function.overloadpacket.__name__.endswith("_"):  # in place
            assert first is not None
            return first.copy_(drawn)
        return tree_map(back, drawn)
