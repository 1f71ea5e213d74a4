"""Generated tiles of stained tissue: glands in stroma, as five laboratories would show them.

Each tile is drawn on its own from (seed, laboratory, split, index): the tissue, then what the
laboratory makes of it (``data/phantoms/``).
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from pydantic import field_validator

from ssl_methods.config import DatasetBase, StainSettings, setting
from ssl_methods.config.base import IN_ORDER, LARGEST_SEED
from ssl_methods.config.datasets import check_voxels
from ssl_methods.data.importers.base import RawCase, Source
from ssl_methods.data.phantoms.laboratory import LABORATORIES, generate

IN_TRAINING = 3  # of the laboratories; the others are tested on alone


class PhantomHistologyDataset(DatasetBase, StainSettings):
    """Generated H&E tiles with glands, of five laboratories; two are in the test set alone."""

    generated: ClassVar[bool] = True

    importer: Literal["phantom_histology"]
    shape: tuple[int, int] = setting(
        (96, 96), f"size of a tile in pixels, each of 2 um, {IN_ORDER}"
    )
    train_cases: int = setting(
        16, "number of training tiles of each of the three training laboratories", ge=1, le=10_000
    )
    labeled_laboratories: int = setting(
        1,
        "number of training laboratories with labels; tiles of the others are unlabeled",
        ge=1,
        le=3,
    )
    test_cases: int | float | None = setting(
        8, "number of test tiles of each of the five laboratories", ge=1, le=10_000
    )
    difficulty: float = setting(
        0.5,
        "how hard the tiles are; 0: stained alike and clean; 1: laboratories far apart, tissue "
        "hard to tell",
        ge=0,
        le=1,
    )
    seed: int = setting(
        0,
        "seed of the generator: the same one gives the same cases, bit for bit",
        ge=0,
        le=LARGEST_SEED,
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "window",
        "how intensities are scaled: the same for every tile, so that colours stay what they are",
    )
    clip_values: tuple[float, float] | None = setting(
        (0.0, 255.0), "intensities to clip to: the range of 8 bits"
    )

    @field_validator("shape")
    @classmethod
    def _fits_in_memory(cls, value: tuple[int, int]) -> tuple[int, ...]:
        return check_voxels(value)


def read(dataset: PhantomHistologyDataset) -> Source:
    """Ids are ``<laboratory>-<split>-<number>``; the one class is the gland, lumen included."""
    cases = []
    for number, laboratory in enumerate(LABORATORIES):
        training = dataset.train_cases if number < IN_TRAINING else 0
        counts = (("train", training), ("test", int(dataset.test_cases or 0)))
        for part, (split, count) in enumerate(counts):
            labeled = split == "test" or number < dataset.labeled_laboratories
            for index in range(count):
                key = (dataset.seed, number, part, index)
                load = partial(
                    generate, dataset.shape, laboratory, dataset.difficulty, labeled, key
                )
                case_id = f"{laboratory.name}-{split}-{index:04d}"
                cases.append(RawCase(case_id, split, labeled, load))  # type: ignore[arg-type]
    return Source(cases, {1: "gland"})
