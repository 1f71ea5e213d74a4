"""Checkpoints: all that a run needs to go on as if it had never stopped.

They lie in the run's folder, outside the outputs that the workflow knows (and would delete after a
kill). The last two are kept, each with a checksum of itself; a damaged one is reported and the
previous one used; one of other settings is reported and ignored. That of the last iteration stays
until the run is evaluated: if Snakemake dies before it has noted that the run is trained, it
deletes the run's files and asks for them again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ssl_methods.run_record import CHECKPOINTS
from ssl_methods.weights import Damaged, load_into, load_sealed, reason, save_sealed

log = logging.getLogger(__name__)

Row = dict[str, float]


@dataclass
class State:
    """How far a run is, beside its weights."""

    iteration: int = 0
    rows: list[Row] = field(default_factory=list)  # of history.csv
    train_seconds: float = 0.0
    wall_seconds: float = 0.0
    other_seconds: float = 0.0  # of CPU, that other processes had meanwhile
    forward_passes: int = 0
    peak_memory_mb: float = 0.0
    resumed_from: list[int] = field(default_factory=list)
    # (iteration, parts): from there on each batch was taken in so many parts (micro_batches.py)
    divided: list[tuple[int, int]] = field(default_factory=list)

    @property
    def parts(self) -> int:
        """Into how many parts a batch is divided now."""
        return self.divided[-1][1] if self.divided else 1


class Checkpoint:
    """The two newest states of one run, keyed by everything that decides its result."""

    def __init__(self, folder: Path, key: str, device: torch.device) -> None:
        self.newest, self.previous = (folder / name for name in CHECKPOINTS)
        self.key, self.device = key, device

    def save(self, method: nn.Module, optimizers: Sequence[Optimizer], state: State) -> None:
        content = {
            "key": self.key,
            "method": method.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "random": self._random_state(),
            "state": asdict(state),
        }
        if self.newest.exists():
            self.newest.replace(self.previous)
        save_sealed(self.newest, content)

    def restore(self, method: nn.Module, optimizers: Sequence[Optimizer]) -> State:
        """Load the newest usable checkpoint into all; a fresh ``State`` if there is none.

        Raises Damaged for one that is whole and of this run, and yet does not fit.
        """
        for path in (self.newest, self.previous):
            content = self._read(path)
            if content is None:
                continue
            try:
                load_into(method, content["method"], path)
                for optimizer, saved in zip(optimizers, content["optimizers"], strict=True):
                    optimizer.load_state_dict(saved)
                self._set_random_state(content["random"])
                state = State(**content["state"])
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                raise Damaged(
                    f"{path}: does not fit ({reason(error)}); delete it to start anew"
                ) from None
            state.resumed_from.append(state.iteration)
            log.info("resuming at iteration %d from %s", state.iteration, path)
            return state
        return State()

    def _read(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            return None
        try:
            content = load_sealed(path)
        except Damaged as error:
            why = str(error).removeprefix(f"{path}: ")
            log.warning("%s is broken and is passed over (%s)", path, why)
            return None
        if not isinstance(content, dict) or content.get("key") != self.key:
            log.warning("%s is of other settings, sources or data and is passed over", path)
            return None
        return content

    def _random_state(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _set_random_state(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.device)
