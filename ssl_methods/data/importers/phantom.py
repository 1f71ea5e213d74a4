"""Generated cases: a chamber with tubular branches among look-alikes, as in an atrial MRI.

Each case is drawn on its own from (seed, split, index), so that adding cases changes none of the
others (``data/phantoms/chamber.py``).
"""

from __future__ import annotations

from functools import partial

from ssl_methods.config import PhantomDataset
from ssl_methods.data.importers.base import RawCase, Source
from ssl_methods.data.phantoms.chamber import BRANCH, CHAMBER, generate


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
