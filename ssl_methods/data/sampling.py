"""The batch of each step: patches cut where the volumes are, level sets made where they are quick.

In: the prepared store and a split. Out: ``Sampler.batch(t)``, a ``Batch`` that depends on t and on
the run's random entropy alone: no state, so a resumed run draws what it would have drawn, and
every method of one (dataset, budget, subset, seed) is given the same patches at the same step.

A GPU holds the volumes (up to ``training.gpu_volumes_gb``), cuts the patches and makes the level
sets; no step waits for a transfer. A CPU cuts them from mapped files.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray
from torch import Tensor

from ssl_methods.batch import Batch
from ssl_methods.config import Run, TrainingConfig, budget_text
from ssl_methods.data.patches import Patch, Volumes, draw_patch
from ssl_methods.data.store import Store
from ssl_methods.distance import signed_distances
from ssl_methods.level_set import signed_distance

LABELED, UNLABELED, ORDER = 0, 1, 2  # names of random streams


def run_entropy(run: Run) -> int:
    """The number all random streams of a run start from: the same for every method and recipe."""
    key = f"{run.dataset.name}/{budget_text(run.budget)}/{run.subset}/{run.seed}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


class Cut(NamedTuple):
    """What is cut for one step, on the device where the volumes are."""

    images: Tensor  # (L, C, *patch) float32
    labels: Tensor  # (L, 1, *patch) uint8, values 0..K
    unlabeled: Tensor  # (U, C, *patch) float32
    level_sets: Tensor | None  # (L, K, *patch) float32, if they are those of whole volumes


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
        self.store, self.training, self.entropy, self.device = store, training, entropy, device
        self.level_set_from = training.level_set_from if "level_set" in targets else None
        unlabeled = unlabeled if training.unlabeled_batch else []
        whole = self.level_set_from == "volume"
        size = size_gb(store, labeled, unlabeled, whole)
        on_gpu = device.type != "cpu" and size <= training.gpu_volumes_gb
        held_on = device if on_gpu else None
        self.labeled = Volumes(store.image, labeled, held_on)
        self.unlabeled = Volumes(store.image, unlabeled, held_on)
        self.labels = Volumes(lambda id: store.label(id)[None], labeled, held_on)
        if whole:
            self.level_sets = Volumes(self._whole, labeled, held_on or torch.device("cpu"))
        self.values = torch.arange(1, len(store.classes) + 1, dtype=torch.uint8, device=device)
        # From files to a GPU, a thread is one step ahead. A run on the CPU has no such thread: it
        # would take more cores than the run's ``cpu_threads`` to hide some 2 % of a step.
        self.thread = ThreadPoolExecutor(1) if device.type != "cpu" and not on_gpu else None
        self.coming: dict[int, Future[Cut]] = {}

    def batch(self, t: int) -> Batch:
        """The patches of iteration t (from 0); quickest if t - 1 was asked for before."""
        if self.thread is None:
            return self._batch(self._cut(t))
        cut = self.coming.pop(t, None) or self.thread.submit(self._pinned, t)
        self.coming = {t + 1: self.thread.submit(self._pinned, t + 1)}
        return self._batch(cut.result())

    def _cut(self, t: int) -> Cut:
        patches = self._patches(LABELED, t, self.labeled, self.training.labeled_batch)
        others = self._patches(UNLABELED, t, self.unlabeled, self.training.unlabeled_batch)
        images = self.labeled.cut(patches)
        return Cut(
            images=images,
            labels=self.labels.cut(patches),
            unlabeled=self.unlabeled.cut(others) if others else images[:0],
            # Beyond the scan is outside, as far as can be: +1.
            level_sets=(
                self.level_sets.cut(patches, fill=1.0) if self.level_set_from == "volume" else None
            ),
        )

    def _pinned(self, t: int) -> Cut:
        """The tensor in memory from which a GPU can copy while it computes."""
        cut = self._cut(t)
        if self.device.type != "cuda":
            return cut
        return cut._replace(
            **{name: part.pin_memory() for name, part in cut._asdict().items() if part is not None}
        )

    def _batch(self, cut: Cut) -> Batch:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(self.device, non_blocking=True)

        values = self.values.view(-1, *[1] * (cut.labels.ndim - 2))
        masks = torch.eq(moved(cut.labels), values)
        level_sets = None if cut.level_sets is None else moved(cut.level_sets)
        if self.level_set_from == "patch":
            on_cpu = self.device.type == "cpu"
            level_sets = on_host(masks.numpy()) if on_cpu else signed_distances(masks)
        return Batch(moved(cut.images), masks.float(), moved(cut.unlabeled), level_sets)

    def _patches(self, stream: int, t: int, volumes: Volumes, count: int) -> list[Patch]:
        rng = default_rng(SeedSequence([self.entropy, stream, t]))
        cases = [
            self._case(stream, t * count + i, len(volumes.ids))
            for i in range(count if volumes.ids else 0)
        ]
        shapes = [self.store.cases[volumes.ids[case]].shape for case in cases]
        return [
            draw_patch(rng, case, shape, self.training)
            for case, shape in zip(cases, shapes, strict=True)
        ]

    def _case(self, stream: int, position: int, cases: int) -> int:
        epoch, within = divmod(position, cases)
        return int(order(self.entropy, stream, epoch, cases)[within])

    def _whole(self, case_id: str) -> NDArray[np.float32]:
        """The level sets (K, *spatial) of a whole volume."""
        label = self.store.label(case_id)
        values = range(1, len(self.store.classes) + 1)
        return np.stack([signed_distance(label == value) for value in values])


@lru_cache(maxsize=8)
def order(entropy: int, stream: int, epoch: int, cases: int) -> NDArray[np.int64]:
    """Each pass over the cases is a permutation of its own."""
    return default_rng(SeedSequence([entropy, ORDER, stream, epoch])).permutation(cases)


def on_host(masks: NDArray[np.bool_]) -> Tensor:
    """Masks (L, K, *spatial) to signed distances."""
    maps = [[signed_distance(mask) for mask in channels] for channels in masks]
    return torch.from_numpy(np.array(maps))


def size_gb(store: Store, labeled: Sequence[str], unlabeled: Sequence[str], whole: bool) -> float:
    """Size in memory of the volumes that training reads; ``whole``: with scans' level sets."""

    def voxels(ids: Sequence[str]) -> int:
        return sum(math.prod(store.cases[id].shape) for id in ids)

    per_label = 1 + whole * 4 * len(store.classes)
    images = 4 * store.channels * (voxels(labeled) + voxels(unlabeled))
    return (images + per_label * voxels(labeled)) / 2**30
