"""Generated tiles of stained tissue: glands in stroma, as five laboratories would show them.

Each tile is drawn on its own from (seed, laboratory, split, index): the tissue, then what the
laboratory makes of it (``data/phantoms/``).
"""

from __future__ import annotations

from functools import partial

from ssl_methods.config import PhantomHistologyDataset
from ssl_methods.data.importers.base import RawCase, Source
from ssl_methods.data.phantoms.laboratory import LABORATORIES, generate

IN_TRAINING = 3  # of the laboratories; the others are tested on alone


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
