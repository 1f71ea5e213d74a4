"""The trials of one method, shared out among workers.

Every trial stands in a numbered slot. Slots are laid out before they are run, slot 0 with the
paper's setting, as waiting trials of Optuna, and a worker takes the lowest; storages let only one
have it. So there are exactly as many trials as declared, whoever runs them, and raising the number
adds slots. A trial whose worker died is failed without a reason, and its slot is laid out again
with the same settings: the retry finds the checkpoints in the slot's folder. A slot counts once.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from ssl_methods.errors import UserError
from ssl_methods.tuning.space import Space
from ssl_methods.tuning.storage import give_up_lost, lock_of
from ssl_methods.tuning.study import Study

SLOT, REASON, WORKER, DIGEST = "slot", "reason", "worker", "settings"
STARTUP_TRIALS = 5  # finished trials before the pruner judges


@dataclass
class Taken:
    """A trial in this worker's hands, its lock held."""

    trial: Trial
    id: int  # in the storage
    slot: int
    lock: FileLock


@dataclass
class Queue:
    """The slots of one method, or those on which it is trained with fresh seeds."""

    study: optuna.Study
    storage: BaseStorage
    row: str
    part: str  # 'trials' or 'fresh'
    folder: Path  # of this queue: one folder per slot
    space: Space
    start: dict[int, dict[str, Any]]  # settings that a slot is given; the sampler's for others

    def finished(self) -> dict[int, FrozenTrial]:
        """The trial that counts of each finished slot."""
        counted: dict[int, FrozenTrial] = {}
        for trial in self.trials():
            if counts(trial):
                counted.setdefault(trial.user_attrs[SLOT], trial)
        return counted

    def trials(self) -> list[FrozenTrial]:
        found = self.study.get_trials(deepcopy=False)
        return [trial for trial in found if SLOT in trial.user_attrs]

    def refill(self, slots: list[int]) -> None:
        """Lay out every slot that is neither finished nor waiting nor running."""
        running = {
            trial.number: self.folder / str(trial.user_attrs[SLOT])
            for trial in self.trials()
            if trial.state == TrialState.RUNNING
        }
        give_up_lost(self.study, self.storage, running)
        with FileLock(self.folder.parent / ".queue.lock"):
            trials = self.trials()
            alive = {t.user_attrs[SLOT] for t in trials if counts(t) or not t.state.is_finished()}
            # Lost before all of its settings were drawn, it is drawn again as a whole.
            drawn = [t for t in trials if t.params.keys() == self.space.keys()]
            tried = {t.user_attrs[SLOT]: t.params for t in drawn}
            for slot in slots:
                if slot not in alive:
                    params = tried.get(slot) or self.start.get(slot) or {}
                    self.study.enqueue_trial(params, user_attrs={SLOT: slot})

    def waiting(self, slots: list[int]) -> list[FrozenTrial]:
        """In the order of their slots, so that one worker always goes the same way."""
        found = [trial for trial in self.trials() if trial.state == TrialState.WAITING]
        found = [trial for trial in found if trial.user_attrs[SLOT] in slots]
        return sorted(found, key=lambda trial: trial.user_attrs[SLOT])

    def running(self) -> bool:
        return any(trial.state == TrialState.RUNNING for trial in self.trials())

    def take(self, waiting: FrozenTrial) -> Taken | None:
        """Make a waiting trial this worker's; None if another was faster."""
        slot = int(waiting.user_attrs[SLOT])
        lock = lock_of(self.folder / str(slot))
        if lock is None:
            return None
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, waiting.number)
        if isinstance(self.storage, RDBStorage):
            self.storage.record_heartbeat(trial_id)
        try:
            mine = self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            mine = False
        if not mine:
            lock.release()
            return None
        trial = Trial(self.study, trial_id)
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
        return Taken(trial, trial_id, slot, lock)

    def suggest(self, taken: Taken, study: Study) -> dict[str, Any]:
        """The settings of a trial. They depend on what is known and on the slot, on no worker."""
        self.study.sampler = make_sampler(study, f"{self.row}/{taken.slot}")
        return {name: suggest(taken.trial, name, range_) for name, range_ in self.space.items()}


def suggest(trial: Trial, name: str, range_: BaseDistribution) -> Any:
    if isinstance(range_, CategoricalDistribution):
        return trial.suggest_categorical(name, range_.choices)
    if isinstance(range_, IntDistribution):
        return trial.suggest_int(name, range_.low, range_.high)
    assert isinstance(range_, FloatDistribution)
    return trial.suggest_float(name, range_.low, range_.high, log=range_.log)


def counts(trial: FrozenTrial) -> bool:
    """Finished, and not merely lost with its worker."""
    failed = trial.state == TrialState.FAIL
    return trial.state.is_finished() and (not failed or REASON in trial.user_attrs)


def open_queue(
    study: Study,
    storage: BaseStorage,
    row: str,
    space: Space,
    start: Mapping[int, dict[str, Any]],
    folder: Path,
    part: str = "trials",
) -> Queue:
    """The Optuna study of one row (``part``: 'trials' or 'fresh'), made if it is new.

    Raises UserError if it holds trials of other settings.
    """
    folder = folder / part / row
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{study.experiment}/{study.name}/{row}" + ("" if part == "trials" else f"/{part}")
    with FileLock(folder.parent / ".queue.lock"):
        own = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=make_pruner(study),
        )
        expected = study.row_digest(row)
        if own.user_attrs.get(DIGEST, expected) != expected:
            raise UserError(
                f"study {study.name}: {row} has trials of other settings (data, training, ranges"
                " or subsets) in its storage; give the study another name, or remove"
                f" {folder.parents[1]}"
            )
        if DIGEST not in own.user_attrs:
            own.set_user_attr(DIGEST, expected)
    return Queue(own, storage, row, part, folder, space, dict(start))


def make_sampler(study: Study, key: str) -> BaseSampler:
    """A sampler with a seed of its own for each trial: a resumed study suggests what it would
    have."""
    digest = hashlib.sha256(f"{study.seed}/{key}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big") % 2**31
    if study.sampler == "gp":
        return GPSampler(seed=seed)
    return RandomSampler(seed) if study.sampler == "random" else TPESampler(seed=seed)


def make_pruner(study: Study) -> BasePruner:
    if study.pruner == "none" or study.grid:
        return NopPruner()
    return MedianPruner(n_startup_trials=STARTUP_TRIALS)
