"""Whatever is killed, however, at a random moment: one plain rerun ends as if nothing had happened.

ROUNDS and SEED are read from the environment (50 and 0).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import TINY
from stages import (
    METHODS,
    TARGETS,
    Stages,
    iterations_kept,
    iterations_resumed,
    made,
    members,
    running,
    workers,
)

ROUNDS = int(os.environ.get("ROUNDS", "50"))
SEED = int(os.environ.get("SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VICTIMS = ("worker", "snakemake", "both")
PATIENCE = 300  # seconds, on a busy machine


def plan(number: int) -> tuple[str, str, signal.Signals, float]:
    """Stage, victim, signal and moment (a fraction of the stage) of one round.

    Every stage with every victim and signal in 36 rounds, then again; the moments are random.
    """
    stage = list(TARGETS)[number % 4]
    victim, sign = VICTIMS[number // 4 % 3], SIGNALS[number // 12 % 3]
    return stage, victim, sign, random.Random(f"{SEED} {number}").uniform(0.0, 1.0)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_plain_rerun_mends_it(number: int, stages: Stages, tmp_path: Path):
    stage, victim, sign, moment = plan(number)
    target = TARGETS[stage]
    workflow = stages.start(stage, tmp_path)
    finished = made(workflow)

    with running(workflow, target) as snakemake:
        struck = strike(snakemake, victim, sign, moment * stages.seconds[stage])
        snakemake.wait(PATIENCE)
        orphans = len(workers(snakemake.pid))
        kept = {} if orphans else {name: iterations_kept(workflow, name) for name in METHODS}
        left = made(workflow)
        print(
            f"{stage}: {sign.name} to {victim} after {moment:.0%} of it {struck}; "
            f"{orphans} orphans; iterations kept: {kept}"
        )
        again = workflow.snakemake(target, experiment=TINY)  # with orphans at work
        assert again.returncode == 0, again.stdout
        assert nobody_left(snakemake), "a process is left over"

    stages.check(workflow, target)
    now = made(workflow)
    assert {path: now[path] for path in finished} == finished, "what was finished was made again"
    for method, iterations in kept.items() if target != "data" else ():
        model = next(path for path in now if f"/{method}/" in path and path.endswith("model.pt"))
        if left.get(model) != now[model]:
            assert iterations_resumed(workflow, method) >= iterations, "iterations were lost"


def strike(snakemake: subprocess.Popen, victim: str, sign: signal.Signals, after: float) -> str:
    """Send the signal so many seconds from now; to a worker as soon as there is one."""
    time.sleep(after)
    if victim == "worker":
        while snakemake.poll() is None and not workers(snakemake.pid):
            time.sleep(0.01)
        for worker in workers(snakemake.pid)[:1]:
            verb = worker.cmdline()[3]
            worker.send_signal(sign)
            return f"hit {verb}"
        return "too late"
    if snakemake.poll() is not None:
        return "too late"
    at_work = ", ".join(worker.cmdline()[3] for worker in workers(snakemake.pid)) or "no job"
    (os.killpg if victim == "both" else os.kill)(snakemake.pid, sign)
    return f"while {at_work}"


def nobody_left(snakemake: subprocess.Popen) -> bool:
    give_up = time.monotonic() + 60
    while members(snakemake.pid) and time.monotonic() < give_up:
        time.sleep(0.1)
    return not members(snakemake.pid)
