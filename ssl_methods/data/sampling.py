"""Patches for one step: crop, rotation and flip as tensor operations on the training device.

In: the prepared store and a split. Out: ``Sampler.batch(t)``, a ``Batch`` that depends on t and on
the run's random entropy alone: no state, so a resumed run draws what it would have drawn, and
every method of one (dataset, budget, subset, seed) is given the same patches at the same step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator, SeedSequence, default_rng
from torch import Tensor
from torch.nn import functional

from ssl_methods.config import Run, TrainingConfig, budget_text
from ssl_methods.data.store import Store
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Batch

LABELED, UNLABELED, ORDER = 0, 1, 2  # names of random streams


def run_entropy(run: Run) -> int:
    """The number all random streams of a run start from: the same for every method and recipe."""
    key = f"{run.dataset.name}/{budget_text(run.budget)}/{run.subset}/{run.seed}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Patch:
    """Where and how one patch is cut: quarter turns in the plane of the first two axes, then
    flips."""

    case: int
    start: tuple[int, ...]
    size: tuple[int, ...]
    turns: int
    flips: tuple[int, ...]

    def cut(self, volume: Tensor, fill: float = 0.0) -> Tensor:
        """Crop (channels, *spatial); pad a volume smaller than the patch with ``fill`` on both
        sides."""
        index = tuple(
            slice(start, start + size) for start, size in zip(self.start, self.size, strict=True)
        )
        patch = volume[(slice(None), *index)]
        missing = [want - have for want, have in zip(self.size, patch.shape[1:], strict=True)]
        if any(missing):
            sides = [side for gap in reversed(missing) for side in (gap // 2, gap - gap // 2)]
            patch = functional.pad(patch, sides, value=fill)
        if self.turns:
            patch = torch.rot90(patch, self.turns, (1, 2))
        return patch.flip(self.flips) if self.flips else patch


def draw_patch(rng: Generator, case: int, shape: Sequence[int], training: TrainingConfig) -> Patch:
    """A patch anywhere in a volume of this spatial shape, in any of the allowed orientations."""
    turns = int(rng.integers(4)) if training.rotate else 0
    size = tuple(training.patch_size)
    if turns % 2:
        size = (size[1], size[0], *size[2:])
    start = tuple(
        int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(shape, size, strict=True)
    )
    flips = tuple(axis + 1 for axis in training.flip_axes if rng.integers(2))
    return Patch(case, start, size, turns, flips)


class Volumes:
    """Cases of one stream, held on the training device."""

    def __init__(self, store: Store, ids: Sequence[str], device: torch.device) -> None:
        self.ids = list(ids)
        self.images = [torch.from_numpy(np.array(store.image(id))).to(device) for id in ids]
        self.shapes = [tuple(image.shape[1:]) for image in self.images]


class Sampler:
    """Labeled and unlabeled patches, drawn apart; each stream passes through its cases in random
    order."""

    def __init__(
        self,
        store: Store,
        labeled: Sequence[str],
        unlabeled: Sequence[str],
        training: TrainingConfig,
        entropy: int,
        targets: frozenset[str],
        device: torch.device,
    ) -> None:
        self.training, self.entropy, self.device = training, entropy, device
        self.classes = len(store.classes)
        self.level_set_from = training.level_set_from if "level_set" in targets else None
        self.labeled = Volumes(store, labeled, device)
        self.labels = [torch.from_numpy(np.array(store.label(id))) for id in labeled]
        self.unlabeled = Volumes(store, unlabeled if training.unlabeled_batch else [], device)
        if self.level_set_from == "volume":
            self.level_sets = [self._level_sets(label) for label in self.labels]

    def batch(self, t: int) -> Batch:
        """The patches of iteration t (from 0)."""
        patches = self._patches(LABELED, t, self.labeled, self.training.labeled_batch)
        labels = [patch.cut(self.labels[patch.case][None])[0] for patch in patches]
        unlabeled = self._patches(UNLABELED, t, self.unlabeled, self.training.unlabeled_batch)
        return Batch(
            labeled_images=self._images(self.labeled, patches),
            labels=torch.stack([self._channels(label) for label in labels]).to(self.device),
            unlabeled_images=self._images(self.unlabeled, unlabeled),
            level_sets=self._targets(patches, labels),
        )

    def _patches(self, stream: int, t: int, volumes: Volumes, count: int) -> list[Patch]:
        rng = default_rng(SeedSequence([self.entropy, stream, t]))
        cases = [
            self._case(stream, t * count + i, len(volumes.ids))
            for i in range(count if volumes.ids else 0)
        ]
        return [draw_patch(rng, case, volumes.shapes[case], self.training) for case in cases]

    def _case(self, stream: int, position: int, cases: int) -> int:
        """Each pass over the cases is a permutation of its own."""
        epoch, within = divmod(position, cases)
        order = default_rng(SeedSequence([self.entropy, ORDER, stream, epoch])).permutation(cases)
        return int(order[within])

    def _images(self, volumes: Volumes, patches: list[Patch]) -> Tensor:
        if not patches:
            return torch.empty(
                (0, *self.labeled.images[0].shape[:1], *self.training.patch_size),
                device=self.device,
            )
        return torch.stack([patch.cut(volumes.images[patch.case]) for patch in patches])

    def _channels(self, label: Tensor) -> Tensor:
        """Label map (*spatial) with values 0..K to (K, *spatial) float32."""
        values = torch.arange(1, self.classes + 1, dtype=label.dtype)
        return (label[None] == values.view(-1, *[1] * label.ndim)).float()

    def _level_sets(self, label: Tensor) -> Tensor:
        """Label map (*spatial) to signed distances (K, *spatial)."""
        return torch.stack(
            [torch.from_numpy(signed_distance(mask.numpy())) for mask in self._channels(label)]
        )

    def _targets(self, patches: list[Patch], labels: list[Tensor]) -> Tensor | None:
        if self.level_set_from is None:
            return None
        if self.level_set_from == "volume":
            # Beyond the scan is outside, as far as can be: +1.
            cuts = [patch.cut(self.level_sets[patch.case], fill=1.0) for patch in patches]
        else:
            cuts = [self._level_sets(label) for label in labels]
        return torch.stack(cuts).to(self.device)
