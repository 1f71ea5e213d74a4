"""A released V-Net of random weights in its released names, and what its test code does with it.

Written out from the structure that the references describe; nothing of the project is used.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from medpy.metric import binary
from torch.nn import functional

DOWN = {"one": 1, "two": 2, "three": 3, "four": 3, "five": 3}  # convolutions of each block
UP = {"six": 3, "seven": 3, "eight": 2, "nine": 1}


def released_state(naming: str, width: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """``dtc`` and ``sassnet`` have two heads of one channel, ``ua_mt`` one of two."""
    random = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random) * (2 / math.prod(shape[1:])) ** 0.5

    def add(name: str, weight: torch.Tensor, filters: int, layer: int = 0) -> None:
        state[f"{name}.conv.{3 * layer}.weight"] = weight
        state[f"{name}.conv.{3 * layer}.bias"] = 0.1 * tensor(filters)
        norm = f"{name}.conv.{3 * layer + 1}"
        state[f"{norm}.weight"] = 1 + 0.1 * torch.randn(filters, generator=random)
        state[f"{norm}.bias"] = 0.1 * torch.randn(filters, generator=random)
        state[f"{norm}.running_mean"] = 0.1 * torch.randn(filters, generator=random)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(filters, generator=random)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    filters = {name: width * 2**level for level, name in enumerate(DOWN)}
    filters |= {name: width * 2 ** (3 - level) for level, name in enumerate(UP)}
    order = [*DOWN, *UP]
    for i, name in enumerate(order):
        here = filters[name]
        for layer in range((DOWN | UP)[name]):
            before = 1 if name == "one" else here
            add(f"block_{name}", tensor(here, before, 3, 3, 3), here, layer)
        if name == "nine":
            continue
        after = filters[order[i + 1]]
        if i < 4:
            add(f"block_{name}_dw", tensor(after, here, 2, 2, 2), after)
        else:
            add(f"block_{name}_up", tensor(here, after, 2, 2, 2), after)
    for head in ("out_conv",) if naming == "ua_mt" else ("out_conv", "out_conv2"):
        channels = 2 if naming == "ua_mt" else 1
        weight = torch.rand(channels, width, 1, 1, 1, generator=random)
        weight[:, ::2] *= -1  # so that neither part wins everywhere
        weight[:1] *= 1 if channels == 1 else -1
        state[f"{head}.weight"] = weight
        state[f"{head}.bias"] = 0.01 * torch.randn(channels, generator=random)
    return state


def released_probability(state: dict[str, torch.Tensor], patch: np.ndarray) -> np.ndarray:
    """Of the foreground, for one patch, as the released test code computes it: the sigmoid of the
    second head, or the softmax's second channel."""

    def layer(x, name, i=0, kind="same"):
        weight, bias = (state[f"{name}.conv.{3 * i}.{part}"] for part in ("weight", "bias"))
        if kind == "same":
            x = functional.conv3d(x, weight, bias, padding=1)
        elif kind == "down":
            x = functional.conv3d(x, weight, bias, stride=2)
        else:
            x = functional.conv_transpose3d(x, weight, bias, stride=2)
        norm = f"{name}.conv.{3 * i + 1}"
        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{norm}.{part}"] for part in parts)).relu()

    def block(x, name):
        for i in range((DOWN | UP)[name]):
            x = layer(x, f"block_{name}", i)
        return x

    x, skips = torch.from_numpy(patch[None, None]), []
    for name in list(DOWN)[:-1]:
        x = block(x, name)
        skips.append(x)
        x = layer(x, f"block_{name}_dw", kind="down")
    x = block(x, "five")
    for below, name in zip(["five", *UP], UP, strict=False):
        x = block(layer(x, f"block_{below}_up", kind="up") + skips.pop(), name)
    head = "out_conv2" if "out_conv2.weight" in state else "out_conv"
    logits = functional.conv3d(x, state[f"{head}.weight"], state[f"{head}.bias"])
    if head == "out_conv2":
        return torch.sigmoid(logits)[0, 0].numpy()
    return torch.softmax(logits, dim=1)[0, 1].numpy()


def released_prediction(state, image, patch, stride) -> np.ndarray:
    """Padded to the patch, windows at multiples of the strides, their probabilities averaged."""
    gaps = [max(p - s, 0) for p, s in zip(patch, image.shape, strict=True)]
    padded = np.pad(image, [(gap // 2, gap - gap // 2) for gap in gaps]).astype(np.float32)
    total, count = np.zeros(padded.shape, np.float32), np.zeros(padded.shape, np.float32)
    counts = [
        math.ceil((s - p) / step) + 1
        for s, p, step in zip(padded.shape, patch, stride, strict=True)
    ]
    for index in np.ndindex(*counts):
        start = [
            min(step * i, s - p)
            for i, step, s, p in zip(index, stride, padded.shape, patch, strict=True)
        ]
        window = tuple(slice(at, at + p) for at, p in zip(start, patch, strict=True))
        with torch.no_grad():
            total[window] += released_probability(state, padded[window])
        count[window] += 1
    inner = tuple(slice(g // 2, g // 2 + s) for g, s in zip(gaps, image.shape, strict=True))
    return (total / count > 0.5)[inner]


def released_values(prediction: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """The four metrics of the released test code, by MedPy, without spacing."""
    return {
        "dice": binary.dc(prediction, label),
        "jaccard": binary.jc(prediction, label),
        "asd_voxel": binary.asd(prediction, label),
        "hd95_voxel": binary.hd95(prediction, label),
    }
