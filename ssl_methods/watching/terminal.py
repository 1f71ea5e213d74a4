"""The verb `watch`: a sweep in a terminal, redrawn while it runs; elsewhere a line when it moves.

In: a ``Sweep``. It reads files and a process's number, and so disturbs nothing that runs.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_methods.config import budget_text
from ssl_methods.locks import holder
from ssl_methods.progress import is_alive
from ssl_methods.training.plan import long
from ssl_methods.watching import words
from ssl_methods.watching.page import write_page
from ssl_methods.watching.sweep import Now, Sweep

if TYPE_CHECKING:
    from rich.console import Group

PAUSE = 1.0  # seconds between two looks
LINE_EVERY = 60.0  # where nothing is redrawn: seconds between two lines, if no run has ended
PAGE_EVERY = 10.0  # seconds between two versions of the page
SHOWN = 20  # jobs at work and failures that are shown one by one


def watch(sweep: Sweep, once: bool = False, html: bool = False) -> None:
    """Show the sweep until its report is there, whoever ran it has stopped, or Ctrl-C.

    ``once``: only as it is now; ``html``: also write ``live.html``, again and again.
    """
    page = sweep.home / "live.html" if html else None
    if page is not None:
        print(page)
    with suppress(KeyboardInterrupt):  # who has seen enough
        if not once and sys.stdout.isatty():
            _in_a_terminal(sweep, page)
        else:
            _in_lines(sweep, page, once)


def _in_a_terminal(sweep: Sweep, page: Path | None) -> None:
    from rich.live import Live

    with Live(table(sweep.now()), auto_refresh=False) as live:
        last = _follow(sweep, page, lambda now: live.update(table(now), refresh=True))
    print(last)


def _in_lines(sweep: Sweep, page: Path | None, once: bool) -> None:
    told: set[str] = set()
    before, last = -1, 0.0

    def tell(now: Now) -> None:
        nonlocal before, last
        done = len(now.of("done"))
        if done != before or time.monotonic() - last >= LINE_EVERY:
            before, last = done, time.monotonic()
            print(words.headline(now))
            for it in now.of("at work")[:SHOWN]:
                print(f"  {it.title}: {words.job(it.job)}")
        for it in (*now.of("failed"), *now.of("stopped")):
            if (line := words.failure(it)) not in told:
                told.add(line)
                print(f"  {line}")
        sys.stdout.flush()

    if once:
        now = sweep.now()
        tell(now)
        if page is not None:
            write_page(now, page, at_work=False)
    else:
        print(_follow(sweep, page, tell))


def _follow(sweep: Sweep, page: Path | None, show: Callable[[Now], None]) -> str:
    """Look, show, wait; returns how it ended."""
    seen, written = False, 0.0
    while True:
        began = time.monotonic()
        now = sweep.now()
        working = now.at_work or _is_run(sweep.experiment.name)
        ended = _ended(now, working, seen)
        seen = seen or working
        show(now)
        if page is not None and (ended or time.monotonic() - written >= PAGE_EVERY):
            written = time.monotonic()
            write_page(now, page, at_work=not ended)
        if ended:
            return ended
        time.sleep(max(PAUSE, 20 * (time.monotonic() - began)))  # of a core no more than 5 %


def _ended(now: Now, working: bool, seen: bool) -> str:
    """What there is to say at the end; blank while there is more to see, or nothing yet."""
    if now.ready and not working:
        return f"{now.name}: done"
    if seen and not working:
        return f"{now.name}: nothing is at work on it any more; the same command goes on with it"
    return ""


def _is_run(name: str) -> bool:
    """Whether a Snakemake of this folder and machine works on the experiment."""
    lock = Path(f".snakemake/{name}.lock")
    found = re.fullmatch(r"process (\d+) on (.+)", holder(lock)) if lock.exists() else None
    return bool(found and found[2] == socket.gethostname() and is_alive(int(found[1])))


def table(now: Now) -> Group:
    """Runs per method and budget, jobs at work, failures."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    budgets = list(dict.fromkeys(budget_text(it.run.budget) for it in now.runs))
    grid = Table(box=None, pad_edge=False)
    grid.add_column("runs")
    for budget in budgets:
        grid.add_column(f"{budget} labeled")
    for name in dict.fromkeys(it.run.name for it in now.runs):
        grid.add_row(name, *(cell(now, name, budget) for budget in budgets))
    parts: list[Text | Table] = [Text(words.headline(now)), Text(), grid]
    if busy := now.of("at work"):
        jobs = Table(box=None, pad_edge=False)
        for title in ("at work", "at", "loss", "validation Dice", "on", "left"):
            jobs.add_column(title)
        for it in busy[:SHOWN]:
            what = "iteration" if it.job.name == "train" else "case"
            at = f"{what} {it.job.at} of {it.job.of}" if it.job.of else "starts"
            seconds = it.job.seconds_left()
            left = "" if seconds is None else long(seconds)
            jobs.add_row(it.title, at, *words.values(it.job).values(), it.job.device, left)
        parts += [Text(), jobs]
    if failed := [*now.of("failed"), *now.of("stopped")]:
        parts += [Text(), *(Text(words.failure(it)) for it in failed[:SHOWN])]
    return Group(*parts)


def cell(now: Now, name: str, budget: str) -> str:
    """'2 of 4 done, 1 at work': the runs of a method at a budget."""
    runs = [it for it in now.runs if (it.run.name, budget_text(it.run.budget)) == (name, budget)]
    if not runs:
        return ""
    states = [it.state for it in runs]
    other = [(states.count(state), state) for state in ("at work", "failed", "stopped")]
    more = "".join(f", {count} {state}" for count, state in other if count)
    return f"{states.count('done')} of {len(runs)} done{more}"
