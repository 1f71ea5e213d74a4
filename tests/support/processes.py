"""Snakemake in a session of its own, and who lives in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from support.harness import Workflow
from support.stages import EXPERIMENT

PATIENCE = 900  # seconds, on a busy machine


@contextmanager
def running(workflow: Workflow, target: str, **environment: str) -> Iterator[subprocess.Popen]:
    """Snakemake as the leader of a session of its own, as if started in a terminal."""
    with (workflow.folder / "printed.txt").open("a") as printed:
        process = subprocess.Popen(
            workflow.command(target, experiment=EXPERIMENT),
            cwd=workflow.project,
            env=workflow.environment(**environment),
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that starts jobs in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Kill whatever a test has left running in this session."""
    while alive := members(process.pid):
        for each in alive:
            each.kill()
        process.poll()
        time.sleep(0.05)


def members(session: int) -> list[psutil.Process]:
    """The processes of a session that are alive, orphans too."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def workers(session: int) -> list[psutil.Process]:
    """The jobs: `python -m ssl_methods VERB`, without the shell that starts each."""
    return [process for process in members(session) if verb(process)]


def verb(process: psutil.Process) -> str:
    """What a job does, with the part of a study; empty if it is no job, or gone."""
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return ""
    if command[1:3] != ["-m", "ssl_methods"]:
        return ""
    part = command[command.index("--part") + 1 :][:1] if "--part" in command else []
    return " ".join([*command[3:4], *part])


def cpu_seconds(session: int) -> float:
    """What the living have used so far, and those that they waited for."""
    used = 0.0
    for process in members(session):
        try:
            used += sum(process.cpu_times()[:4])  # user and system, its own and its children's
        except psutil.NoSuchProcess:
            continue
    return used


def gone(session: int) -> bool:
    """Wait until the last process of a session has ended; whether it has."""
    give_up = time.monotonic() + PATIENCE
    while members(session) and time.monotonic() < give_up:
        time.sleep(0.1)
    return not members(session)
