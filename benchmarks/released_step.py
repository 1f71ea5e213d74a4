"""How the released DTC code makes one training iteration, written afresh from a description of it.

- Each sample opens its case's HDF5 file (gzip) and reads all of image and label; then, on the host,
  a random quarter turn and flip of the whole volume, and a random crop. A DataLoader with worker
  processes does that; here they live as long as the benchmark, where the released ones are started
  anew for each pass over the labeled cases.
- Two labeled and two unlabeled samples pass the V-Net together.
- The target of the level set is made inside the step, on the host, of each labeled patch: scipy's
  distance transform of the mask and of its complement, each scaled by its range, and 0 on the inner
  contour.
- Dice, 0.3 of the level set's mean squared error, and the weighted consistency. The cross-entropy
  is computed for the log alone. Every loss is read back in every iteration.
- SGD; memory contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from ssl_methods.data.store import Store
from ssl_methods.networks import EncoderDecoder

Sample = tuple[Tensor, Tensor]  # image (1, *patch) float32, label (*patch) int64


def write_hdf5(store: Store, folder: Path) -> list[Path]:
    """The training cases as the field's files are: one gzip-compressed HDF5 file each."""
    files = []
    for case in store.ids("train"):
        files.append(folder / f"{case}.h5")
        with h5py.File(files[-1], "w") as file:
            file.create_dataset("image", data=store.image(case)[0], compression="gzip")
            file.create_dataset("label", data=store.label(case), compression="gzip")
    return files


class Cases(Dataset[Sample]):
    """Reads, turns, flips and crops a case each time it is asked for."""

    def __init__(self, files: list[Path], patch: tuple[int, ...]) -> None:
        self.files, self.patch = files, patch

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        with h5py.File(self.files[index]) as file:
            image, label = file["image"][:], file["label"][:]
        turns, axis = np.random.randint(4), np.random.randint(2)
        image, label = (np.flip(np.rot90(array, turns), axis).copy() for array in (image, label))
        gaps = [want - have for want, have in zip(self.patch, label.shape, strict=True)]
        if any(gap >= 0 for gap in gaps):
            sides = [(max(gap // 2 + 3, 0),) * 2 for gap in gaps]
            image, label = np.pad(image, sides), np.pad(label, sides)
        starts = [
            np.random.randint(have - want)
            for have, want in zip(label.shape, self.patch, strict=True)
        ]
        crop = tuple(
            slice(start, start + size) for start, size in zip(starts, self.patch, strict=True)
        )
        return (
            torch.from_numpy(image[crop][None].astype(np.float32)),
            torch.from_numpy(label[crop].astype(np.int64)),
        )


class TwoStreams(Sampler[list[int]]):
    """Endless batches of two labeled and two unlabeled cases."""

    def __init__(self, labeled: int, cases: int) -> None:
        self.labeled, self.cases = labeled, cases

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            known = np.random.permutation(self.labeled)[:2]
            others = np.random.permutation(np.arange(self.labeled, self.cases))[:2]
            yield [*map(int, known), *map(int, others)]


class ReleasedStep:
    """Call it: one iteration."""

    def __init__(
        self,
        files: list[Path],
        labeled: int,
        patch: tuple[int, ...],
        width: int,
        workers: int,
        device: torch.device,
    ) -> None:
        loader = DataLoader(
            Cases(files, patch),
            batch_sampler=TwoStreams(labeled, len(files)),
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )
        self.batches, self.device, self.iteration = iter(loader), device, 0
        self.network = EncoderDecoder(heads=2, width=width).to(device).train()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
        )
        self.log: list[float] = []

    def __call__(self) -> None:
        torch.use_deterministic_algorithms(False)
        images, labels = next(self.batches)
        images, labels = images.to(self.device), labels.to(self.device)
        logits, raw = self.network(images)
        probability, level_set = logits.sigmoid(), raw.tanh()
        known = labels[:2]
        with torch.no_grad():
            maps = np.stack([signed_distance(mask) for mask in known.cpu().numpy() > 0])
            target = torch.from_numpy(maps).float().to(self.device)
        truth = known.float()
        squared = functional.mse_loss(level_set[:2, 0], target)
        for_the_log = functional.binary_cross_entropy(probability[:2, 0], truth)
        p = probability[:2, 0]
        dice = 1 - (2 * (p * truth).sum() + 1e-5) / (p.square().sum() + truth.square().sum() + 1e-5)
        agreement = (torch.sigmoid(-1500 * level_set) - probability).square().mean()
        weight = math.exp(-5 * (1 - min(self.iteration // 150, 40) / 40) ** 2)
        loss = dice + 0.3 * squared + weight * agreement
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.iteration += 1
        self.log += [value.item() for value in (loss, dice, squared, agreement, for_the_log)]


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of one patch; 0 everywhere if it has no foreground."""
    if not mask.any():
        return np.zeros(mask.shape)
    outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
    scaled = (outside - outside.min()) / np.ptp(outside) - (inside - inside.min()) / np.ptp(inside)
    scaled[find_boundaries(mask, mode="inner")] = 0
    return scaled
