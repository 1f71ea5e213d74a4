"""Weights at evenly spaced iterations, for the audit of rules that choose a checkpoint.

All are in one file beside the model, ``snapshots.pt``; the last iteration is ``model.pt`` itself
and is not kept twice. ``evaluate`` measures them (``evaluation/snapshots.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_methods.files import write_with


class Snapshots:
    """The file of one run, keyed as its checkpoints are: what is of another run is dropped."""

    def __init__(self, folder: Path, key: str, count: int, total: int) -> None:
        self.path, self.key = folder / "snapshots.pt", key
        self.iterations = {round(total * i / count) for i in range(1, count)} - {0, total}
        if not self.iterations:
            self.path.unlink(missing_ok=True)

    def keep(self, iteration: int, method: nn.Module) -> None:
        """Add the weights of this iteration; those of a resumed run replace its own."""
        kept = {t: weights for t, weights in self._read().items() if t < iteration}
        content = {"key": self.key, "weights": {**kept, iteration: method.state_dict()}}
        write_with(self.path, lambda file: torch.save(content, file))

    def _read(self) -> dict[int, Any]:
        if not self.path.exists():
            return {}
        content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        return dict(content["weights"]) if content["key"] == self.key else {}
