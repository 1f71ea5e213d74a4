"""The slices of a test case that are kept to be looked at: `slices.npz`.

Of every case one slice, for figures; of the first few a stack, through which the report leafs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Label = NDArray[np.uint8]

STACKS = 3  # cases that have a stack
STACK = 9  # slices of a stack, at most


def best_slice(
    image: NDArray[np.float32], label: Label, prediction: Label
) -> dict[str, NDArray[Any]]:
    """The slice across the last axis with most reference foreground; a 2D case whole.

    It is the middle slice if there is no foreground. ``image`` is the first channel as float16
    (clipped to its range), ``label`` and ``prediction`` are uint8.
    """
    picture = image[0]
    if label.ndim == 3:
        foreground = np.count_nonzero(label, axis=(0, 1))
        index = int(foreground.argmax()) if foreground.any() else label.shape[2] // 2
        picture, label, prediction = picture[..., index], label[..., index], prediction[..., index]
    largest = np.finfo(np.float16).max
    return {
        "image": picture.clip(-largest, largest).astype(np.float16),
        "label": label.astype(np.uint8),
        "prediction": prediction.astype(np.uint8),
    }


def stack(image: NDArray[np.float32], label: Label, prediction: Label) -> dict[str, NDArray[Any]]:
    """Up to ``STACK`` slices of a 3D case, evenly spaced from its first to its last foreground.

    Foreground is the reference's alone, so that every run shows the same slices; of a case without
    any, slices of the whole case. Returns nothing for a 2D case.

    Returns:
        ``slices_index`` (n,): positions on the last axis. ``slices_image`` (n, x, y) uint8: the
        first channel, 0 to 255 between the 0.5th and the 99.5th percentile of these slices.
        ``slices_label`` and ``slices_prediction`` (n, x, y) uint8.
    """
    if label.ndim != 3:
        return {}
    found = np.flatnonzero(label.any(axis=(0, 1)))
    first, last = (int(found[0]), int(found[-1])) if len(found) else (0, label.shape[2] - 1)
    index = np.unique(np.linspace(first, last, STACK).round().astype(int))
    shown = np.moveaxis(image[0][..., index], -1, 0).astype(float)
    low, high = np.percentile(shown, [0.5, 99.5])
    grey = 255 * (shown.clip(low, high) - low) / max(high - low, np.finfo(float).tiny)
    return {
        "slices_index": index.astype(np.int32),
        "slices_image": grey.round().astype(np.uint8),
        "slices_label": np.moveaxis(label[..., index], -1, 0).astype(np.uint8),
        "slices_prediction": np.moveaxis(prediction[..., index], -1, 0).astype(np.uint8),
    }
