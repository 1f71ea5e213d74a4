"""Sliding windows against MONAI's inferer and a plain loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from ssl_methods.evaluation.inference import label_map, sliding_window


def predict(patches: Tensor) -> Tensor:
    """Two classes, each dependent on the whole patch and on the position within it."""
    level = patches.mean(dim=tuple(range(1, patches.ndim)), keepdim=True)
    ramp = torch.linspace(0, 1, patches[0, 0].numel()).reshape(patches.shape[2:])
    return torch.cat(
        [(patches[:, :1] + level).sigmoid(), (patches.sum(1, keepdim=True) * ramp).sigmoid()], 1
    )


def looped(image: Tensor, patch: Sequence[int], stride: Sequence[int]) -> Tensor:
    """The procedure restated for three axes: pad, visit each window alone, divide by the visits."""
    low = [max(p - n, 0) // 2 for p, n in zip(patch, image.shape[1:], strict=True)]
    sizes = [max(p, n) for p, n in zip(patch, image.shape[1:], strict=True)]
    padded = torch.zeros(image.shape[0], *sizes)
    inner = tuple(slice(a, a + n) for a, n in zip(low, image.shape[1:], strict=True))
    padded[(slice(None), *inner)] = image
    total, visits = torch.zeros(2, *sizes), torch.zeros(sizes)
    counts = [math.ceil((n - p) / s) + 1 for n, p, s in zip(sizes, patch, stride, strict=True)]
    for i in range(counts[0]):
        for j in range(counts[1]):
            for k in range(counts[2]):
                x, y, z = (
                    min(s * step, n - p)
                    for s, step, n, p in zip(stride, (i, j, k), sizes, patch, strict=True)
                )
                window = (slice(x, x + patch[0]), slice(y, y + patch[1]), slice(z, z + patch[2]))
                seen = padded[(slice(None), *window)][None].contiguous()
                total[(slice(None), *window)] += predict(seen)[0]
                visits[window] += 1
    return (total / visits)[(slice(None), *inner)]


@pytest.mark.parametrize(
    ("shape", "patch", "stride"),
    [
        ((20, 17, 11), (8, 8, 8), (3, 5, 2)),
        ((20, 17, 11), (8, 8, 4), (8, 8, 4)),
        ((5, 17, 3), (8, 8, 8), (3, 4, 8)),
        ((8, 8, 8), (8, 8, 8), (1, 4, 8)),
        ((9, 1, 8), (8, 4, 8), (8, 1, 8)),
    ],
)
@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_equals_the_plain_loop(
    shape: tuple[int, ...], patch: tuple[int, ...], stride: tuple[int, ...], batch: int
) -> None:
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    found = sliding_window(predict, image, patch, stride, classes=2, batch=batch)
    assert found.dtype == torch.float32 and found.shape == (2, *shape)
    same = 0 if batch == 1 else 1e-6  # batches sum in another order
    torch.testing.assert_close(found, looped(image, patch, stride), rtol=0, atol=same)


@pytest.mark.parametrize(
    ("shape", "patch", "overlap"),
    [
        ((20, 17, 11), (8, 8, 8), 0.5),
        ((19, 16, 11), (8, 8, 4), 0.75),
        ((6, 30, 5), (8, 16, 8), 0.25),
        ((20, 13), (8, 8), 0.5),
        ((5, 40), (16, 16), 0.0),
    ],
)
def test_equals_monai(shape: tuple[int, ...], patch: tuple[int, ...], overlap: float) -> None:
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(2))
    stride = [int(size * (1 - overlap)) for size in patch]
    expected = sliding_window_inference(
        image[None], patch, 3, predict, overlap=overlap, mode="constant"
    )[0]
    found = sliding_window(predict, image, patch, stride, classes=2, batch=3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_pointwise_network_is_applied_point_by_point() -> None:
    """Where windows agree, their mean is what each says, however they overlap."""
    image = torch.randn(1, 13, 21)
    found = sliding_window(torch.sigmoid, image, (8, 8), (3, 7), classes=1)
    torch.testing.assert_close(found, image.sigmoid())


def test_windows_are_batched() -> None:
    sizes = []

    def watching(patches: Tensor) -> Tensor:
        sizes.append(len(patches))
        return patches.sigmoid()

    sliding_window(watching, torch.zeros(1, 16, 24), (8, 8), (4, 8), classes=1, batch=4)
    assert sizes == [4, 4, 1]


def test_label_map_takes_the_likeliest_class_above_one_half() -> None:
    probabilities = torch.tensor([[0.2, 0.6, 0.7, 0.5, 1.0], [0.1, 0.9, 0.3, 0.4, 1.0]])
    found = label_map(probabilities)
    assert found.dtype == torch.uint8
    assert found.tolist() == [0, 2, 1, 0, 1]


def test_of_exclusive_classes_background_is_one_of_them() -> None:
    probabilities = torch.tensor([[0.4, 0.3, 0.4, 0.5, 0.2], [0.25, 0.2, 0.4, 0.0, 0.3]])
    assert label_map(probabilities, exclusive=True).tolist() == [1, 0, 1, 0, 0]
    whole = torch.cat([1 - probabilities.sum(0, keepdim=True), probabilities])
    assert label_map(probabilities, exclusive=True).tolist() == whole.argmax(0).tolist()
