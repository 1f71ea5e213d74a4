"""Whatever is killed, however, at a random moment: one plain rerun ends as if nothing had happened.

ROUNDS and SEED are read from the environment (50 and 0).
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from support.processes import PATIENCE, cpu_seconds, gone, running, verb, workers
from support.stages import (
    EXPERIMENT,
    STAGES,
    STEPS,
    TRIALS,
    Stages,
    cpu_of_children,
    finished_trials,
    iterations_kept,
    iterations_resumed,
    made,
)

ROUNDS = int(os.environ.get("ROUNDS", "50"))
SEED = int(os.environ.get("SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VICTIMS = ("worker", "snakemake", "both")

Round = tuple[str, str, signal.Signals, float]


def plan(rounds: int, seed: int) -> list[Round]:
    """Stage, victim, signal and moment of each round.

    Every stage with every victim and signal in 45 rounds, in an order of the seed, then again. A
    moment is a fraction of the CPU time that the stage takes undisturbed: a busy machine shifts
    none. Before a fifth Snakemake only starts, and at the very end nothing is left to hit.
    """
    draw, found = random.Random(seed), list[Round]()
    while len(found) < rounds:
        deck = list(product(STAGES, VICTIMS, SIGNALS))
        draw.shuffle(deck)
        found += [(*card, draw.uniform(0.2, 0.95)) for card in deck]
    return found[:rounds]


def named(number: int, it: Round) -> str:
    stage, victim, sign, moment = it
    return f"{number}-{stage}-{sign.name}-{victim}-{moment:.2f}"


PLAN = plan(ROUNDS, SEED)


@pytest.mark.parametrize("it", PLAN, ids=[named(*each) for each in enumerate(PLAN)])
def test_one_plain_rerun_mends_it(
    it: Round, stages: Stages, tmp_path: Path, record_property: Callable[[str, object], None]
):
    stage, victim, sign, moment = it
    workflow = stages.start(stage, tmp_path)
    finished, before = made(workflow), cpu_of_children()

    with running(workflow, STEPS[stage]) as snakemake:
        struck = strike(snakemake, victim, sign, moment * stages.seconds(stage))
        snakemake.wait(PATIENCE)
        orphans = len(workers(snakemake.pid))
        kept = {} if orphans else iterations_kept(workflow)
        left = made(workflow)
        record_property(
            "struck", f"{stage}: {sign.name} to {victim} at {moment:.0%}, {struck}, {orphans} left"
        )
        again = workflow.snakemake(STEPS[stage], experiment=EXPERIMENT)  # with orphans at work
        record_property("rerun", f"again: {jobs(again.stdout)}")
        assert again.returncode == 0, again.stdout
        assert gone(snakemake.pid), "a process is left over"

    record_property("cost", f"{cpu_of_children() - before:.0f} CPU s")
    stages.check(workflow, stage)
    now = made(workflow)
    finished |= finished_trials(left)
    assert {path: now[path] for path in finished} == finished, "what was finished was made again"
    for run, iterations in kept.items():
        trained = f"{run}/provenance.json"
        if left.get(trained) != now[trained]:
            resumed = iterations_resumed(workflow, run)
            record_property("resumed", f"{run} resumed at {resumed}")
            assert resumed >= iterations, "iterations were lost"
    if stage == "tune":
        assert counted(workflow.folder, "trials") == list(range(TRIALS))
        assert counted(workflow.folder, "fresh") == counted(stages.base / stage, "fresh")


def strike(snakemake: subprocess.Popen, victim: str, sign: signal.Signals, after: float) -> str:
    """Send the signal after so many CPU seconds; to a worker as soon as there is one."""
    while snakemake.poll() is None:
        at_work = workers(snakemake.pid) if cpu_seconds(snakemake.pid) >= after else None
        if at_work is None or (victim == "worker" and not at_work):
            time.sleep(0.05)
            continue
        doing = ", ".join(filter(None, map(verb, at_work))) or "no job"
        if victim == "worker":
            at_work[0].send_signal(sign)
        else:
            (os.killpg if victim == "both" else os.kill)(snakemake.pid, sign)
        return f"at work: {doing}"
    return "too late"


def jobs(printed: str) -> str:
    """What a Snakemake ran, of its table of jobs."""
    table = printed.partition("Job stats:")[2].partition("\n\n")[0]
    counts = re.findall(r"^(\w+) +(\d+)$", table, re.M)
    return ", ".join(f"{rule} {n}" for rule, n in counts if rule != "total") or "nothing to be done"


def counted(folder: Path, part: str) -> list[int]:
    """The slots of the completed trials, as the storage has them."""
    journal = str(folder / "results/tiny/tuning/s/journal.log")
    study = optuna.load_study(
        study_name="tiny/s/dtc" + ("/fresh" if part == "fresh" else ""),
        storage=JournalStorage(JournalFileBackend(journal)),
    )
    done = study.get_trials(states=[TrialState.COMPLETE])
    return sorted(trial.user_attrs["slot"] for trial in done)
