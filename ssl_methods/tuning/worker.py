"""The verb `tune`: lay out the trials, run them, write the answers.

In: a ``Study``. Out, in ``results/<experiment>/tuning/<study>/``: the storage, a folder per trial,
and what ``answers.py`` writes. Any number of workers may be at it; each ends when no trial is left.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from ssl_methods.data.inputs import open_store
from ssl_methods.files import write_yaml
from ssl_methods.training.loop import TrainingDiverged
from ssl_methods.tuning.objective import Refused, run_setting
from ssl_methods.tuning.queue import REASON, RUNS, SLOT, Queue, Taken, open_queue
from ssl_methods.tuning.space import defaults, search_space
from ssl_methods.tuning.storage import held, open_storage
from ssl_methods.tuning.study import Study

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


def open_study(study: Study, results: Path) -> dict[str, Queue]:
    """The queue of each method.

    Raises UserError: settings that cannot be searched, a storage that cannot be reached or that
    holds trials of other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = results / study.folder
    spaces = {row: search_space(study, row) for row in study.methods}
    storage = open_storage(study, folder)
    queues = {}
    for row, space in spaces.items():
        given = dict(enumerate(study.grid_points()))
        if not given:
            default = defaults(study, row)
            given = {0: {name: default[name] for name in space}}
        queues[row] = open_queue(study, storage, row, space, given, folder)
    return queues


def lay_out(study: Study, results: Path) -> None:
    """Make the storage and every slot; before any worker, so that no two make it at once."""
    open_store(study.dataset, results, make=True)
    write_yaml(results / study.folder / "study.yaml", study.model_dump(mode="json"))
    for queue in open_study(study, results).values():
        queue.refill()


def work(study: Study, results: Path) -> int:
    """Run trials until none is left; the number that this worker has run.

    It waits for the trials of other workers, and takes over those of workers that die.
    """
    done, queues = 0, open_study(study, results)
    while True:
        stages = list(queues.values())
        for row, queue in queues.items():
            if (fresh := fresh_queue(study, row, queue, results)) is not None:
                stages.append(fresh)
        for queue in stages:
            queue.refill()
        taken = _take(stages)
        if taken is not None:
            _run(study, *taken, results)
            done += 1
        elif any(queue.running() for queue in stages):
            time.sleep(POLL_SECONDS)
        elif not any(queue.waiting() for queue in stages):
            return done


def fresh_queue(study: Study, row: str, queue: Queue, results: Path) -> Queue | None:
    """Default and best of a finished search, to be trained with fresh seeds; else None."""
    finished = queue.finished()
    if study.grid or not study.fresh_seeds or len(finished) < study.slots:
        return None
    best = best_slot(finished)
    if best is None:
        return None
    start = {0: finished[0].params, best: finished[best].params}
    folder = results / study.folder
    return open_queue(study, queue.storage, row, queue.space, start, folder, "fresh")


def best_slot(finished: dict[int, optuna.trial.FrozenTrial]) -> int | None:
    """The slot with the highest value, the earlier of two; None if no trial was completed."""
    done = {n: trial for n, trial in finished.items() if trial.state == TrialState.COMPLETE}
    return min(done, key=lambda n: (-done[n].values[0], n)) if done else None


def _take(stages: list[Queue]) -> tuple[Queue, Taken] | None:
    """The waiting trial of the lowest slot, so that all methods go forward alike."""
    waiting = [
        (trial.user_attrs[SLOT], order, trial)
        for order, queue in enumerate(stages)
        for trial in queue.waiting()
    ]
    for _, order, trial in sorted(waiting, key=lambda it: it[:2]):
        if (taken := stages[order].take(trial)) is not None:
            return stages[order], taken
    return None


def _run(study: Study, queue: Queue, taken: Taken, results: Path) -> None:
    """Train the setting of one trial, and tell what came out.

    Failed is a setting that diverges or that the method refuses. All else (data, disk, memory,
    another process) is not the setting's fault: it is raised, and the trial is tried again.
    """
    trial, fresh = taken.trial, queue.part == "fresh"
    with held(queue.storage, taken.id, taken.lock):
        settings = queue.suggest(taken, study)
        prunable = not fresh and not study.grid and taken.slot > 0
        first_look = math.ceil(study.prune_after * study.training.iterations)
        last = len(study.subsets) * len(study.seeds) * study.training.iterations

        def look(step: int, dice: float) -> None:
            trial.report(dice, step)
            late = (step - 1) % study.training.iterations + 1 >= first_look
            if prunable and late and step < last and trial.should_prune():
                raise optuna.TrialPruned

        folder = queue.folder / str(taken.slot)
        seeds = study.fresh_seeds if fresh else study.seeds
        state, value, said = TrialState.FAIL, None, ""
        try:
            dice = run_setting(study, queue.row, settings, seeds, folder, results, look, fresh)
            trial.set_user_attr(RUNS, [[*run, number] for run, number in dice.items()])
            value = sum(dice.values()) / len(dice)
            state, said = TrialState.COMPLETE, f"validation Dice {value:.4f}"
        except optuna.TrialPruned:
            state, said = TrialState.PRUNED, "stopped early"
        except (TrainingDiverged, Refused) as error:
            said = str(error)
        if state == TrialState.FAIL:
            trial.set_user_attr(REASON, said)
        queue.study.tell(trial, value, state, skip_if_finished=True)
    log.info("%s, trial %d (%s): %s", queue.row, taken.slot, _text(settings), said)


def _text(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )
