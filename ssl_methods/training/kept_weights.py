"""Weights at evenly spaced iterations, for the audit of rules that choose a checkpoint.

All are in one file beside the model, ``snapshots.pt``; the last iteration is ``model.pt`` itself
and is not kept twice. ``evaluate`` measures them (``evaluation/kept_weights.py``).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn

from ssl_methods.weights import Damaged, load_sealed, save_sealed

log = logging.getLogger(__name__)


class Snapshots:
    """The file of one run, keyed as its checkpoints are: what is of another run is dropped.

    ``lost``: the file was damaged and is gone. A checkpoint later than the first of the iterations
    is then of no use.
    """

    def __init__(self, folder: Path, key: str, count: int, total: int) -> None:
        self.path, self.key, self.lost = folder / "snapshots.pt", key, False
        self.iterations = {round(total * i / count) for i in range(1, count)} - {0, total}
        if not self.iterations:
            self.path.unlink(missing_ok=True)
        try:
            self._read()
        except Damaged as error:
            log.warning("%s; the run starts anew", error)
            self.path.unlink(missing_ok=True)
            self.lost = True

    def keep(self, iteration: int, method: nn.Module) -> None:
        """Add the weights of this iteration; those of a resumed run replace its own."""
        kept = {t: weights for t, weights in self._read().items() if t < iteration}
        content = {"key": self.key, "weights": {**kept, iteration: method.state_dict()}}
        save_sealed(self.path, content)

    def _read(self) -> dict[int, Any]:
        if not self.path.exists():
            return {}
        content = load_sealed(self.path, mmap=True)
        return dict(content["weights"]) if content["key"] == self.key else {}
