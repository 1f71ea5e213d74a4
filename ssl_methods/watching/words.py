"""What is seen of a sweep, in words: the same for `watch` and for the workflow's console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssl_methods.errors import printable
from ssl_methods.progress import Job
from ssl_methods.training.plan import long
from ssl_methods.watching.sweep import Left, Now, RunNow, State

NO_VALIDATION = (
    "no validation curve (validation_cases is 0): cases held out for one are lost to every method"
)


def headline(now: Now) -> str:
    """'quickstart: 5 of 16 runs done, 2 at work, 1 failed, 8 to come; about 3 min left (...)'"""
    said = _counts(now, ("at work", "failed", "stopped", "to come"))
    if now.report is not None and not now.report.end:
        what = {"collect": "tables are made", "report": "the report is drawn"}[now.report.name]
        return f"{said}; {what}"
    if now.ready:
        return f"{said}; the report is there"
    return f"{said}; {left(now.left)}"


def left(it: Left) -> str:
    """'about 3 min left (training 2 min, evaluation 1 min, report 20 s)'; what is not known is
    said."""
    if it.total is None:
        return "time left: not known before an iteration is measured"
    if not it.training and it.evaluation == 0:
        if it.report == 0:
            return "nothing is left"
        more = f" (about {long(it.report)})" if it.report else ""
        return f"tables and report are left{more}"
    parts = [f"training {long(it.training)}"] if it.training else []
    unknown = []
    for name, seconds in (("evaluation", it.evaluation), ("report", it.report)):
        if seconds is None:
            unknown.append(name)
        elif seconds:
            parts.append(f"{name} {long(seconds)}")
    said = f"about {long(it.total)} left"
    if parts:
        said += f" ({', '.join(parts)}{f'; {it.at_a_time} at a time' if it.at_a_time > 1 else ''})"
    return said + (f"; {' and '.join(unknown)} not measured yet" if unknown else "")


def job(it: Job) -> str:
    """'iteration 83 of 150, loss 0.412, validation Dice 0.71, 2 cores, 40 s left'"""
    what = "iteration" if it.name == "train" else "case"
    parts = [f"{what} {it.at} of {it.of}"] if it.of else ["starts"]
    if it.rows:
        parts += [f"{name} {value}" for name, value in values(it).items() if value]
    parts += [it.device] if it.device else []
    seconds = it.seconds_left()
    return ", ".join(parts + ([] if seconds is None else [f"{long(seconds)} left"]))


def values(it: Job) -> dict[str, str]:
    """The newest loss and validation Dice as text; blank where there is none."""
    found = {}
    for name, key in (("loss", "loss"), ("validation Dice", "validation_dice")):
        known = [row[key] for row in it.rows if key in row]
        found[name] = f"{known[-1]:.3g}" if known else ""
    return found


def failure(it: RunNow) -> str:
    """'dtc, 4 labeled, subset 0, seed 0: train failed: <why>; see <log>'"""
    why = it.job.said or last_line(it.log) or "it ended without a word, as if it had been killed"
    how = "" if why.startswith("stopped") else "failed: " if it.state == "failed" else "stopped: "
    return f"{it.title}: {it.job.name} {how}{why}; see {it.log}"


def last_line(path: Path) -> str:
    """The last line of a log that is not blank, fit to be shown; blank if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((printable(line, 300) for line in reversed(lines) if line.strip()), "")


def status(now: Now) -> str:
    """One line: '5 of 16 runs done, 2 at work; about 3 min left | dtc 83/150, loss 0.412 | ...'"""
    if not now.of("at work"):
        return headline(now)
    said = _counts(now, ("at work", "failed", "stopped"))
    known = now.left.evaluation is not None and now.left.report is not None
    if now.left.total is not None:
        said += f"; about {long(now.left.total)} {'left' if known else 'and more left'}"
    busy = []
    for it in now.of("at work")[:8]:
        at = f"{it.job.at}/{it.job.of or '?'}"
        loss, dice = values(it.job).values() if it.job.name == "train" else ("", "")
        parts = [f"{it.run.name} {at if it.job.name == 'train' else f'measured {at}'}"]
        parts += [f"loss {loss}"] if loss else []
        parts += [f"Dice {dice}"] if dice else []
        busy.append(", ".join(parts))
    return " | ".join([said, *busy])


def _counts(now: Now, states: Sequence[State]) -> str:
    parts = [f"{len(now.of('done'))} of {len(now.runs)} runs done"]
    for state in states:
        if count := len(now.of(state)):
            parts.append(f"{count} {state}")
    return f"{now.name}: {', '.join(parts)}"
