"""An objective that is known in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ssl_methods.tuning import worker


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Stands for training: Dice is highest at k = 50, lambda = 1. What was asked for is listed."""
    asked: list[tuple[str, dict]] = []

    def dice(study, row, settings, seeds, folder: Path, results, look=None, keep=False):
        asked.append((row, dict(settings)))
        value = 0.8 - 0.05 * math.log10(settings["k"] / 50) ** 2
        value -= 0.05 * math.log10(settings["weight"]) ** 2
        found = {}
        for subset in study.subsets:
            for seed in seeds:
                iterations = study.training.iterations
                for t in (math.ceil(study.prune_after * iterations), iterations):
                    if look is not None:
                        look(len(found) * iterations + t, value)
                found[subset, seed] = value
        return found

    monkeypatch.setattr(worker, "run_setting", dice)
    return asked
