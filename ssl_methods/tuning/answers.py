"""What a study found: ``trials.csv``, ``runs.csv``, ``best.yaml`` and figures; of a search also
``importances.csv`` and ``tuned.csv``, of a grid ``variance.csv``.

In: the storage and the folders of the trials. Out: files in the study's folder; each can be written
before all trials are finished, and then says which are not.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from ssl_methods.analysis.components import interval as interval_of
from ssl_methods.analysis.components import table as table_of
from ssl_methods.analysis.names import TUNED
from ssl_methods.analysis.statistics import support
from ssl_methods.analysis.table_files import read_table, write_table
from ssl_methods.errors import UserError
from ssl_methods.files import write_text
from ssl_methods.locks import alone
from ssl_methods.tuning.figures import draw
from ssl_methods.tuning.queue import REASON, RUNS, SLOT, WORKER, Queue, counts
from ssl_methods.tuning.sensitivity import variance_table
from ssl_methods.tuning.space import defaults
from ssl_methods.tuning.study import Study
from ssl_methods.tuning.worker import best_slot, fresh_queue, open_study

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def answer(study: Study, results: Path) -> Path:
    """Write every table, ``best.yaml`` and the figures; the folder they are in.

    Waits while another process writes there. Raises UserError if no trial of any method was
    completed.
    """
    folder = results / study.folder
    with alone(folder), alone(folder / "figures"):
        _answer(study, results, folder)
    return folder


def _answer(study: Study, results: Path, folder: Path) -> None:
    queues = open_study(study, results)
    trials = pd.concat([trial_rows(study, queue) for queue in queues.values()], ignore_index=True)
    write_table(folder / "trials.csv", trials)
    if not (trials["state"] == "complete").any():
        raise UserError(f"study {study.name}: no trial was completed; see {folder / 'trials.csv'}")
    runs = pd.concat([run_rows(queue) for queue in queues.values()], ignore_index=True)
    write_table(folder / "runs.csv", runs)
    write_text(folder / "best.yaml", best_overrides(study, queues))
    found = (
        {"variance": variance_table(runs, trials, list(study.grid))}
        if study.grid
        else {"importances": importances(queues), "tuned": tuned_table(study, queues, results)}
    )
    for name, table in found.items():
        write_table(folder / f"{name}.csv", table)
    tables = {"trials": trials, "runs": runs} | found
    draw(folder / "figures", tables, {row: queue.space for row, queue in queues.items()})


def trial_rows(study: Study, queue: Queue) -> pd.DataFrame:
    """One row per slot: the trial that counts, or else the newest."""
    newest = {trial.user_attrs[SLOT]: trial for trial in queue.trials()}
    newest |= queue.finished()
    attempts = pd.Series([trial.user_attrs[SLOT] for trial in queue.trials()]).value_counts()
    default = default_slot(study, queue)
    rows = []
    for slot in queue.slots:
        if (trial := newest.get(slot)) is None:
            continue
        complete = trial.state == TrialState.COMPLETE
        lost = trial.state == TrialState.FAIL and not counts(trial)
        rows.append({
            "method": queue.row, "trial": slot,
            "state": "lost" if lost else STATES[trial.state],
            "validation_dice": trial.values[0] if complete else np.nan,
            "default": slot == default,
            **trial.params,
            "seconds": seconds(trial), "attempts": int(attempts[slot]),
            "worker": trial.user_attrs.get(WORKER, ""), "optuna_number": trial.number,
            "reason": trial.user_attrs.get(REASON, ""),
        })  # fmt: skip
    return pd.DataFrame(rows)


def default_slot(study: Study, queue: Queue) -> int | None:
    """Where the default is: slot 0 of a search; of a grid wherever it lies, if it does."""
    every = defaults(study, queue.row)
    default = {name: every[name] for name in queue.space}
    return next((slot for slot, settings in queue.start.items() if settings == default), None)


def seconds(trial: FrozenTrial) -> float:
    """Time from the start of the attempt that counts to its end; NaN if it has not ended."""
    return trial.duration.total_seconds() if trial.duration else np.nan


def run_rows(queue: Queue) -> pd.DataFrame:
    """Every run of every completed trial."""
    rows = [
        {"method": queue.row, "trial": slot, "subset": subset, "seed": seed, "dice": dice}
        for slot, trial in sorted(queue.finished().items())
        for subset, seed, dice in trial.user_attrs.get(RUNS, [])
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "subset", "seed", "dice"])


def best_overrides(study: Study, queues: dict[str, Queue]) -> str:
    """The text of ``best.yaml``: for each method a row of its own, as experiments declare them."""
    text = io.StringIO()
    text.write(f"# The best settings of the study {study.name}, by {study.validation_cases}")
    text.write(" validation cases. In an experiment, under methods:\n")
    for row in queues:
        text.write(f"#   {row}{TUNED}: {study_path(study)}\n")
    for row, queue in queues.items():
        finished = queue.finished()
        best = best_slot(finished)
        if best is None:
            text.write(f"# {row}: no trial was completed\n")
            continue
        trial, choice = finished[best], study.methods[row].choice
        at = default_slot(study, queue)
        given = finished[at].values if at in finished else None
        default = f", trial {at} (the default) {given[0]:.4f}" if given else ""
        text.write(f"# {row}: trial {best}, validation Dice {trial.values[0]:.4f}{default}\n")
        overrides: dict[str, Any] = {"method": choice.method, "recipe": choice.recipe}
        if choice.module is not None:
            overrides["module"] = str(choice.module)
        overrides |= choice.settings | trial.params
        yaml.safe_dump({row + TUNED: overrides}, text, sort_keys=False, allow_unicode=True)
    return text.getvalue()


def study_path(study: Study) -> str:
    return Path("results", study.folder, "best.yaml").as_posix()


def importances(queues: dict[str, Queue]) -> pd.DataFrame:
    """Share of each setting in what tells good trials from others (Optuna's PED-ANOVA).

    No rows for a method with fewer than four completed trials, with equal values of all, or with
    fewer than two settings that were varied: there nothing can be told from anything.
    """
    rows = []
    for row, queue in queues.items():
        done = [t for t in queue.finished().values() if t.state == TrialState.COMPLETE]
        varied = [name for name in queue.space if len({t.params[name] for t in done}) > 1]
        if len(done) < 4 or len({t.values[0] for t in done}) < 2 or len(varied) < 2:
            continue
        counted = optuna.create_study(direction="maximize")  # without what was lost
        counted.add_trials(done)
        for name, share in get_param_importances(counted, params=varied).items():
            rows.append({"method": row, "setting": name, "importance": share})
    return pd.DataFrame(rows, columns=["method", "setting", "importance"])


def tuned_table(study: Study, queues: dict[str, Queue], results: Path) -> pd.DataFrame:
    """Best against default, both trained anew with the fresh seeds, paired by run and case.

    The interval is that of the comparisons (over subsets and validation cases). The cases are
    those by which the best was chosen: the difference is free of lucky seeds, not of lucky cases.
    """
    rows = []
    for row, queue in queues.items():
        fresh = fresh_queue(study, row, queue, results)
        if fresh is None:
            continue
        best = max(fresh.start)
        folders = {slot: fresh.folder / str(slot) for slot in fresh.start}
        finished = fresh.finished()
        if any(
            slot not in finished or finished[slot].state != TrialState.COMPLETE
            for slot in fresh.slots
        ):
            continue
        default, tuned = (dice_matrix(study, folders[slot]) for slot in (0, best))
        difference = (tuned - default).to_numpy(float)
        interval = interval_of(table_of(difference, [subset for subset, _ in tuned.index]))
        rows.append({
            "method": row, "trial": best, "default_dice": default.to_numpy().mean(),
            "tuned_dice": tuned.to_numpy().mean(), "difference": interval.mean,
            "low": interval.low, "high": interval.high, "runs": len(difference),
            "subsets": len(study.subsets), "cases": difference.shape[1],
            "run_differences": " ".join(f"{value:.6g}" for value in difference.mean(axis=1)),
            "verdict": verdict(
                best, interval.low, interval.high,
                support(len(study.subsets), difference.shape[1]),
            ),
        })  # fmt: skip
    columns = [
        "method", "trial", "default_dice", "tuned_dice", "difference", "low", "high",
        "runs", "subsets", "cases", "run_differences", "verdict",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def verdict(best: int, low: float, high: float, stands_on: str) -> str:
    """The verdict in words; as in the comparisons, none is given on few subsets or cases."""
    if best == 0:
        return "no trial was better than the default"
    if "too few" in stands_on:
        return f"cannot be told: {stands_on}"
    if low > 0 or high < 0:
        return "better than the default" if low > 0 else "worse than the default"
    return "cannot be told apart from the default"


def dice_matrix(study: Study, folder: Path) -> pd.DataFrame:
    """(runs, cases): Dice of the validation cases, averaged over classes, of declared runs."""
    found = {}
    for subset in study.subsets:
        for seed in study.fresh_seeds:
            path = folder / f"subset-{subset}" / f"seed-{seed}" / "cases.csv"
            found[subset, seed] = read_table(path).groupby("case")["dice"].mean()
    return pd.DataFrame(found).T
