"""Generated cases: a chamber with tubular branches among look-alikes, as in an atrial MRI.

Each case is drawn on its own from (seed, split, index), so that adding cases changes none of the
others (``data/phantoms/chamber.py``).
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from pydantic import field_validator

from ssl_methods.config import DatasetBase, Sizes, setting
from ssl_methods.config.base import IN_ORDER, LARGEST_SEED
from ssl_methods.config.datasets import check_voxels
from ssl_methods.data.importers.base import RawCase, Source
from ssl_methods.data.phantoms.chamber import BRANCH, CHAMBER, generate


class PhantomDataset(DatasetBase):
    """Generated cases: a chamber with tubular branches among look-alikes; no download."""

    generated: ClassVar[bool] = True

    importer: Literal["phantom"]
    classes: Literal["merged", "separate"] = setting(
        "merged", "whether chamber and branches are one class, or one class each"
    )
    shape: Sizes = setting((48, 48, 32), f"size of a case in voxels, 2D or 3D, {IN_ORDER}")
    train_cases: int = setting(20, "number of training cases", ge=1, le=100_000)
    test_cases: int | float | None = setting(8, "number of test cases", ge=1, le=100_000)
    difficulty: float = setting(
        0.5,
        "how hard the cases are; 0: bright and clean; 1: faint, noisy, among look-alikes",
        ge=0,
        le=1,
    )
    seed: int = setting(
        0,
        "seed of the generator: the same one gives the same cases, bit for bit",
        ge=0,
        le=LARGEST_SEED,
    )

    @field_validator("shape")
    @classmethod
    def _fits_in_memory(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return check_voxels(value)


def read(dataset: PhantomDataset) -> Source:
    """``train_cases`` and ``test_cases`` generated cases of 1 mm; classes: chamber, branches."""
    shape, seed, difficulty = dataset.shape, dataset.seed, dataset.difficulty
    counts = (("train", dataset.train_cases), ("test", int(dataset.test_cases or 0)))
    cases = [
        RawCase(
            f"{split}_{index:04d}",
            split,  # type: ignore[arg-type]
            True,
            partial(generate, shape, difficulty, (seed, part, index)),
        )
        for part, (split, count) in enumerate(counts)
        for index in range(count)
    ]
    return Source(cases, {CHAMBER: "chamber", BRANCH: "branches"})
