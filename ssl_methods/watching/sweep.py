"""How far an experiment is, and how long it will still take, from the files that its jobs write.

In: an experiment and its results folder. Out: a ``Now``. Nothing is written, locked or asked for,
so that looking disturbs no job. Imports no torch unless a method's settings are overridden.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from ssl_methods.config import Experiment, Run, budget_text
from ssl_methods.data.compared import runs_of
from ssl_methods.errors import UserError
from ssl_methods.progress import FILE, Job, read
from ssl_methods.training.plan import Cost, plan

State = Literal["done", "at work", "failed", "stopped", "to come"]


@dataclass(frozen=True)
class RunNow:
    """One run of the grid: ``jobs`` are those that its folder tells of, the newest last."""

    run: Run
    folder: Path
    state: State
    jobs: Sequence[Job] = ()
    trained: bool = False

    @property
    def job(self) -> Job:
        return self.jobs[-1]

    @property
    def log(self) -> Path:
        """Where the newest job's output is."""
        return self.folder / f"{self.job.name}.log"

    @property
    def title(self) -> str:
        run = self.run
        return (
            f"{run.name}, {budget_text(run.budget)} labeled, subset {run.subset}, seed {run.seed}"
        )


@dataclass(frozen=True)
class Left:
    """Seconds of work that are left, each None if nothing is known of it yet; ``total``: until the
    report is there, so many jobs at a time, of what is known."""

    training: float | None
    evaluation: float | None
    report: float | None
    at_a_time: int

    @property
    def total(self) -> float | None:
        if self.training is None:
            return None
        return (self.training + (self.evaluation or 0.0)) / self.at_a_time + (self.report or 0.0)


@dataclass(frozen=True)
class Now:
    """An experiment at one moment."""

    name: str
    runs: Sequence[RunNow]
    report: Job | None  # the newest job that gathers tables or draws the report
    ready: bool  # there is a report of all of it
    left: Left

    def of(self, state: State) -> list[RunNow]:
        return [it for it in self.runs if it.state == state]

    @property
    def at_work(self) -> bool:
        busy = self.report is not None and not self.report.end
        return busy or bool(self.of("at work"))


@dataclass
class Sweep:
    """An experiment that is looked at again and again."""

    experiment: Experiment
    results: Path
    measures: bool = True  # whether runs are to be measured, and a report is to be drawn
    reports: bool = True
    since: float = 0.0  # seconds since 1970; a run that failed before is to come again
    runs: list[Run] = field(default_factory=list)
    costs: dict[str, Cost] = field(default_factory=dict)
    _read: dict[Path, tuple[tuple[int, int], list[Job]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.runs = runs_of(self.experiment, self.results)
        try:
            self.costs = {row.name: row for row in plan(self.experiment, self.results)}
        except UserError:  # a method that cannot be trained: the workflow says so
            self.costs = {}

    @property
    def home(self) -> Path:
        return self.results / self.experiment.name

    def now(self, at_a_time: int = 0) -> Now:
        """``at_a_time``: how many jobs are run at a time; 0: as many as are now."""
        if self.experiment.phases:  # later runs follow from earlier ones
            self.runs = runs_of(self.experiment, self.results)
        moment = time.time()
        runs = [self._run(run, moment) for run in self.runs]
        of_all = self._jobs(self.home)
        newest = of_all[-1] if of_all else None
        if newest is not None and not newest.end and not newest.is_at_work(moment):
            newest = None
        at_a_time = at_a_time or sum(it.state == "at work" for it in runs) or 1
        return Now(
            self.experiment.name, runs, newest, self._ready(runs), self._left(runs, at_a_time)
        )

    def _run(self, run: Run, moment: float) -> RunNow:
        folder = self.results / run.folder
        jobs = self._jobs(folder)
        trained, state = (folder / "model.pt").exists(), "to come"
        if jobs and jobs[-1].is_at_work(moment):
            state = "at work"
        elif (folder / "cases.csv").exists():
            state = "done"
        elif jobs and jobs[-1].end != "done":  # a job that was killed had no time to say so
            state = "failed" if jobs[-1].end == "failed" else "stopped"
            if state == "failed" and jobs[-1].began < self.since:
                state = "to come"
        return RunNow(run, folder, state, jobs, trained)  # type: ignore[arg-type]

    def _jobs(self, folder: Path) -> list[Job]:
        path = folder / FILE
        try:
            there = path.stat()
        except OSError:
            return []
        key = (there.st_size, there.st_mtime_ns)
        if path not in self._read or self._read[path][0] != key:
            self._read[path] = (key, read(folder))
        return self._read[path][1]

    def _ready(self, runs: Iterable[RunNow]) -> bool:
        try:
            made = (self.home / "report.html").stat().st_mtime
            measured = [(it.folder / "cases.csv").stat().st_mtime for it in runs]
        except OSError:
            return False
        return made >= max(measured, default=0.0)

    # ---- what is left ----------------------------------------------------------------------------

    def _left(self, runs: Sequence[RunNow], at_a_time: int) -> Left:
        ahead = [it for it in runs if it.state not in ("done", "failed")]
        to_train = [it for it in ahead if not it.trained]
        to_measure = ahead if self.measures else []
        training = [_of_begun(it, "train") or self._training(it, runs) for it in to_train]
        measuring = [_of_begun(it, "evaluate") or _measuring(it, runs) for it in to_measure]
        report = self.seconds_of_the_report() if self.reports and not self._ready(runs) else 0.0
        return Left(_sum(training), _sum(measuring), report, at_a_time)

    def _training(self, it: RunNow, runs: Sequence[RunNow]) -> float | None:
        """A run's seconds by the finished runs of its method, what is known of its iterations, the
        pace of one at work, or the mean of other methods."""
        own = [other for other in runs if other.run.name == it.run.name]
        if finished := _seconds(own, "train", _iterations(it.run)):
            return median(finished)
        cost = self.costs.get(it.run.name)
        if cost is not None and cost.seconds is not None:
            return cost.iterations * cost.seconds
        if paces := _paces(own) or _seconds(runs, "train") or _paces(runs):
            return sum(paces) / len(paces)
        known = [row.iterations * row.seconds for row in self.costs.values() if row.seconds]
        return sum(known) / len(known) if known else None

    def seconds_of_the_report(self) -> float | None:
        """How long tables and report took when they were made last, or None."""
        found = {job.name: job.seconds for job in self._jobs(self.home) if job.end == "done"}
        return found["collect"] + found["report"] if len(found) == 2 else None


def _of_begun(it: RunNow, name: str) -> float | None:
    """Seconds that a run's job still needs, at work or stopped; None if it is not that job, or has
    said too little."""
    begun = it.state in ("at work", "stopped") and it.job.name == name
    return it.job.seconds_left() if begun else None


def _measuring(it: RunNow, runs: Sequence[RunNow]) -> float | None:
    own = [other for other in runs if other.run.name == it.run.name]
    found = _seconds(own, "evaluate") or _seconds(runs, "evaluate")
    return median(found) if found else None


def _seconds(runs: Iterable[RunNow], name: str, of: int | None = None) -> list[float]:
    """How long the jobs of that name, and of so many iterations, took that have ended well."""
    jobs = [job for it in runs for job in it.jobs if job.name == name and job.end == "done"]
    return [job.seconds for job in jobs if of in (None, job.of)]


def _iterations(run: Run) -> int | None:
    """None: another recipe has its own number."""
    return run.training.iterations if run.choice.recipe == "unified" else None


def _paces(runs: Iterable[RunNow]) -> list[float]:
    """Seconds that runs that are not trained to the end take from their first iteration to the
    last."""
    found = []
    for it in runs:
        left = _of_begun(it, "train")
        if left is not None and it.job.of > it.job.at:
            found.append(left / (it.job.of - it.job.at) * it.job.of)
    return found


def _sum(seconds: Sequence[float | None]) -> float | None:
    """The sum; None if one of them is not known."""
    known = [it for it in seconds if it is not None]
    return sum(known) if len(known) == len(seconds) else None
