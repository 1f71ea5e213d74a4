"""The trials of one method, shared out among workers.

Every trial stands in a numbered slot. Slots are laid out before they are run, slot 0 with the
paper's setting, as waiting trials of Optuna, and a worker takes the lowest; storages let only one
have it. So there are exactly as many trials as declared, whoever runs them; raising the number adds
slots, and those beyond a lowered number are as if they were not there. A trial whose worker died is
failed without a reason, and its slot is laid out again with the same settings: the retry finds the
checkpoints in the slot's folder. A slot counts once.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
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

from ssl_methods import locks
from ssl_methods.config import digest
from ssl_methods.errors import UserError
from ssl_methods.shown import printable
from ssl_methods.tuning.space import Space
from ssl_methods.tuning.storage import give_up_lost, lock_of
from ssl_methods.tuning.study import Study

# User attributes of a trial. Its runs: [[subset, seed, Dice], ...]
SLOT, REASON, WORKER, RUNS = "slot", "reason", "worker", "runs"
DIGEST, SEARCH = "settings", "search"  # and of a study
SEARCH_SETTINGS = ("sampler", "pruner", "prune_after", "seed")  # by which settings are drawn
STARTUP_TRIALS = 5  # finished trials before the pruner judges


@dataclass
class Taken:
    """A trial in this worker's hands, its lock held."""

    trial: Trial
    id: int  # in the storage
    slot: int
    lock: IO[bytes]


@dataclass
class Queue:
    """The slots of one method, or those on which it is trained with fresh seeds."""

    study: optuna.Study
    storage: BaseStorage
    row: str
    part: str  # 'trials' or 'fresh'
    folder: Path  # of this queue: one folder per slot
    space: Space
    slots: list[int]  # that are declared
    start: dict[int, dict[str, Any]]  # settings that a slot is given; the sampler's for others

    def finished(self) -> dict[int, FrozenTrial]:
        """The trial that counts of each finished slot."""
        counted: dict[int, FrozenTrial] = {}
        for trial in self.trials():
            if counts(trial):
                counted.setdefault(trial.user_attrs[SLOT], trial)
        return counted

    def trials(self) -> list[FrozenTrial]:
        """Those of declared slots.

        Raises UserError if the storage says what none of ours says: a slot names a folder too.
        """
        found = []
        for trial in self.study.get_trials(deepcopy=False):
            slot, runs = trial.user_attrs.get(SLOT), trial.user_attrs.get(RUNS, [])
            wrong = None
            if slot is not None and not _is_count(slot):
                wrong = f"the slot of trial {trial.number} is {slot!r}, no whole number"
            elif not isinstance(runs, list) or not all(map(_is_run, runs)):
                wrong = f"the runs of trial {trial.number} are {runs!r}"
            elif (fault := self._fault(trial)) is not None:
                wrong = f"trial {trial.number}: {fault}"
            if wrong is not None:
                raise UserError(
                    f"{self.folder.parents[1]}: the storage is damaged: {printable(wrong)}; give"
                    " the study another name, or put back a copy of the storage"
                )
            if slot in self.slots:
                found.append(trial)
        return found

    def _fault(self, trial: FrozenTrial) -> str | None:
        """What of a completed trial contradicts itself, or is no setting of this queue."""
        if trial.state != TrialState.COMPLETE:
            return None
        try:
            trial._validate()
        except (ValueError, TypeError) as error:
            return str(error)
        if trial.params.keys() != self.space.keys():
            return f"its settings are {', '.join(trial.params)}, not {', '.join(self.space)}"
        return None

    def refill(self) -> None:
        """Lay out every slot that is neither finished nor waiting nor running."""
        running = {
            trial.number: self.folder / str(trial.user_attrs[SLOT])
            for trial in self.trials()
            if trial.state == TrialState.RUNNING
        }
        give_up_lost(self.study, self.storage, running)
        with locks.wait(self.folder.parent / ".queue.lock"):
            trials = self.trials()
            alive = {t.user_attrs[SLOT] for t in trials if counts(t) or not t.state.is_finished()}
            # Lost before all of its settings were drawn, it is drawn again as a whole.
            drawn = [t for t in trials if t.params.keys() == self.space.keys()]
            tried = {t.user_attrs[SLOT]: t.params for t in drawn}
            for slot in self.slots:
                if slot not in alive:
                    params = tried.get(slot) or self.start.get(slot) or {}
                    self.study.enqueue_trial(params, user_attrs={SLOT: slot})

    def waiting(self) -> list[FrozenTrial]:
        """The waiting trials by their slots, so that one worker always goes the same way."""
        found = [trial for trial in self.trials() if trial.state == TrialState.WAITING]
        return sorted(found, key=lambda trial: trial.user_attrs[SLOT])

    def running(self) -> bool:
        return any(trial.state == TrialState.RUNNING for trial in self.trials())

    def take(self, waiting: FrozenTrial) -> Taken | None:
        """Make a waiting trial this worker's; None if another was faster."""
        slot: int = waiting.user_attrs[SLOT]
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
            lock.close()
            return None
        trial = Trial(self.study, trial_id)
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
        return Taken(trial, trial_id, slot, lock)

    def suggest(self, taken: Taken, study: Study) -> dict[str, Any]:
        """The settings of a trial. They depend on what is known and on the slot, on no worker."""
        self.study.sampler = make_sampler(study, f"{self.row}/{taken.slot}")
        return {name: suggest(taken.trial, name, range_) for name, range_ in self.space.items()}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_run(value: Any) -> bool:
    """[subset, seed, Dice]?"""
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(map(_is_count, value[:2]))
        and isinstance(value[2], int | float)
    )


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

    Trials of other fresh seeds are another study, with the runs of seeds that both have in common.
    Raises UserError if the storage holds trials of other settings.
    """
    name, slots = f"{study.experiment}/{study.name}/{row}", list(range(study.slots))
    if part == "fresh":
        name, slots = f"{name}/fresh-{digest(study.fresh_seeds)}", sorted(start)
    own_folder = folder / part / row
    own_folder.mkdir(parents=True, exist_ok=True)
    with locks.wait(own_folder.parent / ".queue.lock"):
        own = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=make_pruner(study),
        )
        _check_settings(own, study, row, folder)
    return Queue(own, storage, row, part, own_folder, space, slots, dict(start))


def _check_settings(own: optuna.Study, study: Study, row: str, folder: Path) -> None:
    """Note what the trials of a new study are of; an old one must be of the same."""
    recorded = own.user_attrs
    mend = f"give the study another name, or remove {folder}"
    if study.storage != "journal":
        mend = "give the study another name"
    expected = study.row_digest(row)
    if recorded.get(DIGEST, expected) != expected:
        raise UserError(
            f"study {study.name}: {row} has trials of other settings (data, training, ranges"
            f" or subsets) in its storage; {mend}"
        )
    search = {} if study.grid else {name: getattr(study, name) for name in SEARCH_SETTINGS}
    there = recorded.get(SEARCH, search)
    for name in search:
        if not isinstance(there, dict) or there.get(name) != search[name]:
            said = there.get(name) if isinstance(there, dict) else there
            raise UserError(
                f"study {study.name}: {row} has trials of another search in its storage"
                f" ({name}: {printable(str(said))}, now {search[name]}); put it back, or {mend}"
            )
    for attribute, value in ((DIGEST, expected), (SEARCH, search)):
        if attribute not in recorded:
            own.set_user_attr(attribute, value)


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
