"""A tiny study, and an objective that is known in closed form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ssl_methods.tuning import worker
from ssl_methods.tuning.study import Study, load_studies
from support import tiny

TINY = tiny.TINY | {"training": tiny.TINY["training"] | {"iterations": 10}}


def declare(**changes: Any) -> Study:
    """Five trials of DTC's k and weight with one worker, unless changed."""
    declared = {
        "methods": {"dtc": {"search": ["k", "weight"]}},
        "trials": 5,
        "validation_cases": 2,
        "workers": 1,
        "fresh_seeds": [],
    }
    (study,) = load_studies(TINY | {"studies": {"s": declared | changes}})
    return study


def answer_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
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
