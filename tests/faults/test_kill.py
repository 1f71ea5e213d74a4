"""Whatever is killed, however, at a random moment: one plain rerun ends as if nothing had happened.

How many rounds: support/rounds.py.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import chain, product
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from support.processes import PATIENCE, cpu_seconds, gone, running, verb, workers
from support.rounds import SEED, SIGNALS_SENT, blow
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

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VICTIMS = {"job": "a job is killed", "snakemake": "Snakemake is killed", "both": "both are killed"}

TOO_LATE = "too late"

Round = tuple[str, str, signal.Signals, float]


def plan(rounds: int, seed: int) -> list[Round]:
    """Stage, victim, signal and moment of each round.

    The victims take turns; of each, every stage with every signal in 15 of its rounds, in an order
    of the seed, then again. A moment is a fraction of the CPU time that the stage takes
    undisturbed: a busy machine shifts none. Before a fifth Snakemake only starts, and at the very
    end nothing is left to hit.
    """
    draw, found = random.Random(seed), list[Round]()
    while len(found) < rounds:
        decks = []
        for victim in VICTIMS:
            deck = [(stage, victim, sign) for stage, sign in product(STAGES, SIGNALS)]
            draw.shuffle(deck)
            decks.append(deck)
        in_turn = chain.from_iterable(zip(*decks, strict=True))
        found += [(*card, draw.uniform(0.2, 0.95)) for card in in_turn]
    return found[:rounds]


def named(number: int, it: Round) -> str:
    stage, victim, sign, moment = it
    return f"{number}-{stage}-{sign.name}-{victim}-{moment:.2f}"


PLAN = plan(SIGNALS_SENT, SEED)


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
        record_property(*blow(VICTIMS[victim], struck != TOO_LATE))
        orphans = len(workers(snakemake.pid))
        kept = {} if orphans else iterations_kept(workflow)
        left = made(workflow)
        record_property(
            "struck", f"{stage}: {sign.name} to {victim} at {moment:.0%}, {struck}, {orphans} left"
        )
        # With orphans at work; --verbose for the table of jobs.
        again = workflow.snakemake(STEPS[stage], "--verbose", experiment=EXPERIMENT)
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
    """Send the signal after so many CPU seconds; to a job as soon as there is one."""
    while snakemake.poll() is None:
        at_work = workers(snakemake.pid) if cpu_seconds(snakemake.pid) >= after else None
        if at_work is None or (victim == "job" and not at_work):
            time.sleep(0.05)
            continue
        doing = ", ".join(filter(None, map(verb, at_work))) or "no job"
        if victim == "job":
            at_work[0].send_signal(sign)
        else:
            (os.killpg if victim == "both" else os.kill)(snakemake.pid, sign)
        return f"at work: {doing}"
    return TOO_LATE


def jobs(printed: str) -> str:
    """What a Snakemake ran, of its table of jobs."""
    table = printed.partition("Job stats:")[2].partition("\n\n")[0]
    counts = re.findall(r"^(\w+) +(\d+)$", table, re.M)
    return ", ".join(f"{rule} {n}" for rule, n in counts if rule != "total") or "nothing to be done"


def counted(folder: Path, part: str) -> list[int]:
    """The slots of the completed trials, as the storage has them."""
    journal = str(folder / "results/tiny/tuning/s/journal.log")
    storage = JournalStorage(JournalFileBackend(journal))
    names = [study.study_name for study in storage.get_all_studies()]
    (name,) = [name for name in names if ("/fresh-" in name) == (part == "fresh")]
    study = optuna.load_study(study_name=name, storage=storage)
    done = study.get_trials(states=[TrialState.COMPLETE])
    return sorted(trial.user_attrs["slot"] for trial in done)
