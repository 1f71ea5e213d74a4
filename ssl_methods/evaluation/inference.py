"""A whole image from a network that sees patches: overlapping windows, averaged.

Windows stand as in the test code of UA-MT and DTC: at multiples of the stride, the last one moved
back to end at the border; all weigh the same. Probabilities are averaged, as there, not logits.
MONAI's inferer does the same with the same windows, but takes about three seconds to import (3.1 to
3.3 s measured), in every run: these few lines stand in its place, and are tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ssl_methods.config import EvaluationConfig
from ssl_methods.data.patches import nearest
from ssl_methods.devices.precision import tf32
from ssl_methods.errors import UserError

ROUNDING = 1e-4  # of probabilities that sum to 1, averaged over windows
Predict = Callable[[Tensor], Tensor]  # (N, C, *patch) -> (N, K, *patch) probabilities
Window = tuple[slice, ...]  # within (channels, *spatial)


@dataclass(frozen=True)
class Predictor:
    """A trained method for whole prepared images.

    ``predict``: patches (N, C, *patch) on the device to probabilities (N, K, *patch).
    ``patch_size``: of its windows; None if it is given the whole image at once. With an axis less
    than the image, it is given slices of the last axis, ``resized`` to that size or in windows.
    ``classes``: K; ``exclusive``: whether they exclude one another.
    """

    predict: Predict
    patch_size: Sequence[int] | None
    classes: int
    evaluation: EvaluationConfig
    device: torch.device
    exclusive: bool = False
    resized: bool = False

    def probabilities(self, image: NDArray[np.float32]) -> Tensor:
        """Probabilities (K, *spatial), on the device, of a prepared image (C, *spatial).

        In float32, whatever the precision of training. Raises UserError if those of exclusive
        classes sum to more than 1.
        """
        with torch.inference_mode(), tf32(False):
            volume = torch.from_numpy(image).to(self.device)
            if self.patch_size is not None and image.ndim - 1 > len(self.patch_size):
                found = torch.stack([self._of_one(one) for one in volume.unbind(-1)], -1)
            else:
                found = self._of_one(volume)
            if self.exclusive and (largest := float(found.sum(0).max())) > 1 + ROUNDING:
                raise UserError(
                    f"network.classes: is exclusive, but the probabilities of the method sum to "
                    f"{largest:.3f}; its predict() must give self.classes.probability(logits)"
                )
            return found

    def _of_one(self, volume: Tensor) -> Tensor:
        """Probabilities of a volume, or a slice, that has as many axes as the patches."""
        space = volume.shape[1:]
        if self.resized and self.patch_size is not None:
            return nearest(self.predict(nearest(volume, self.patch_size)[None])[0], space)
        patch_size: Sequence[int] = self.patch_size or space
        declared = self.evaluation.stride if self.patch_size else None
        stride = declared or [max(size // 2, 1) for size in patch_size]
        batch = self.evaluation.window_batch
        return sliding_window(self.predict, volume, patch_size, stride, self.classes, batch)

    def labels(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The label map (*spatial), values 0..K, of a prepared image (C, *spatial)."""
        found = label_map(self.probabilities(image), self.exclusive)
        labels: NDArray[np.uint8] = found.cpu().numpy()
        return labels


def sliding_window(
    predict: Predict,
    image: Tensor,
    patch_size: Sequence[int],
    stride: Sequence[int],
    classes: int,
    batch: int = 4,
) -> Tensor:
    """Probabilities of a whole image, each voxel the mean over the windows that hold it.

    An axis shorter than the patch is padded with zeros on both sides, and the result cropped back.

    Args:
        predict: patches (N, C, *patch) to probabilities (N, K, *patch).
        image: (C, *spatial), on the device to compute on.
        patch_size: voxels of a window, per spatial axis.
        stride: voxels between windows, within 1..patch_size on each axis.
        classes: K.
        batch: windows per call of ``predict``.

    Returns:
        (K, *spatial) float32 in 0..1, on the image's device.
    """
    shape = image.shape[1:]
    gaps = [max(patch - size, 0) for size, patch in zip(shape, patch_size, strict=True)]
    sides = [side for gap in reversed(gaps) for side in (gap // 2, gap - gap // 2)]
    padded = functional.pad(image, sides)
    windows = window_grid(padded.shape[1:], patch_size, stride)

    total = torch.zeros((classes, *padded.shape[1:]), device=image.device)
    for first in range(0, len(windows), batch):
        some = windows[first : first + batch]
        probabilities = predict(torch.stack([padded[window] for window in some]))
        for window, probability in zip(some, probabilities, strict=True):
            total[window] += probability
    inner = (slice(gap // 2, gap // 2 + size) for size, gap in zip(shape, gaps, strict=True))
    visits = window_counts(padded.shape[1:], patch_size, stride).to(image.device)
    return (total / visits)[(slice(None), *inner)]


def window_counts(shape: Sequence[int], patch_size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """How many windows hold each voxel, (*spatial) float32: a product over the axes."""
    counts = torch.ones(())
    for size, patch, step in zip(shape, patch_size, stride, strict=True):
        along = torch.zeros(size)
        for start in window_starts(size, patch, step):
            along[start : start + patch] += 1
        counts = counts[..., None] * along
    return counts


def window_grid(
    shape: Sequence[int], patch_size: Sequence[int], stride: Sequence[int]
) -> list[Window]:
    """All windows over a volume at least as large as the patch; the last axis runs fastest."""
    sides = [
        [slice(start, start + patch) for start in window_starts(size, patch, step)]
        for size, patch, step in zip(shape, patch_size, stride, strict=True)
    ]
    return [(slice(None), *window) for window in product(*sides)]


def window_starts(size: int, patch: int, step: int) -> list[int]:
    """Along one axis: the multiples of the stride, then the last window, at the border."""
    return [*range(0, size - patch, step), size - patch]


def label_map(probabilities: Tensor, exclusive: bool = False) -> Tensor:
    """(K, *spatial) probabilities to (*spatial) uint8: the likeliest class, 1..K, or 0.

    It is 0 where no probability is above 0.5 or, of exclusive classes, above the background's,
    which is what they lack to 1; of equal ones the first class wins.
    """
    highest, winner = probabilities.max(dim=0)
    rest = 1 - probabilities.sum(0) if exclusive else 0.5
    return torch.where(highest > rest, winner + 1, 0).to(torch.uint8)
