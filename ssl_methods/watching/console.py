"""What Snakemake says while it runs this workflow: a few lines, and how it ends in a sentence.

In: Snakemake's log records and the files of the sweep. Out: on standard error what was asked for,
each failure at once, a line of progress (redrawn in a terminal, elsewhere at each fifth of the
runs), and at the end what is kept and which command goes on. Snakemake's own log file holds all.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssl_methods.config import Experiment
from ssl_methods.errors import UserError
from ssl_methods.training.plan import long
from ssl_methods.watching import words
from ssl_methods.watching.sweep import Now, Sweep

AS_TYPED = "SSL_METHODS_COMMAND"
"""The variable in which `ssl-methods run` says how it was called."""
PAUSE = 1.0  # seconds between two looks in a terminal
LINE_EVERY = 3600.0  # elsewhere: seconds between two lines at the most
ENDS = ("Exiting because a job execution failed", "At least one job did not complete")
OF_RUNS = ("train", "evaluate", "split", "settle", "tuning_work")
"""Rules with a job for each of many: they are counted, not named."""

_CLEAR = "\r\x1b[2K"


class Console(logging.Handler):
    """Takes the place of Snakemake's handler on the console."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.sweep: Sweep | None = None
        self.silent, self.took_over = False, False
        self.at_a_time = 1
        self.began, self.forecast, self.forecast_at, self.of_all = 0.0, 0.0, "", True
        self.failed = 0
        self.jobs: dict[int, str] = {}  # what each job is, in words
        self.stopped: signal.Signals | None = None
        self.redraws = sys.stderr.isatty()
        self.writing, self.ended = threading.RLock(), threading.Event()
        self.told, self.told_at = 0, 0.0

    def takes_over(self, logger: logging.Logger) -> None:
        """Put this console in the place of Snakemake's; its log file stays as it is."""
        for handler in list(logger.handlers):
            if handler.name == "DefaultStreamHandler":
                logger.removeHandler(handler)
                logger.addHandler(self)
                self.took_over = True

    # ---- lines -----------------------------------------------------------------------------------

    def say(self, *lines: str) -> None:
        with self.writing:
            for line in () if self.silent else lines:
                print(f"{_CLEAR if self.redraws else ''}{line}", file=sys.stderr, flush=True)

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(getattr(record, "event", None), "name", "")
        given: Any = record.__dict__
        if event == "JOB_ERROR":
            self._failure(given)
        elif event == "JOB_INFO":
            message = given.get("rule_msg")  # a target, such as `all`, has none
            self.jobs[given["jobid"]] = message or given["rule_name"]
            if message and given["rule_name"] not in OF_RUNS:
                self.say(message)
        elif event == "PROGRESS" and self.sweep is None:
            self._count(given["done"], given["total"])
        elif str(record.msg).startswith("Nothing to be done"):
            self.say("All is there already, and up to date.")
        elif record.levelno >= logging.WARNING and not self._is_said_otherwise(record, event):
            self.say(str(record.getMessage()))

    def _is_said_otherwise(self, record: logging.LogRecord, event: str) -> bool:
        """Whether it is a failed job's, whose log says it better, or that jobs have failed."""
        text = str(record.getMessage())
        of_a_job = "returned non-zero exit status" in text or "died with <Signals" in text
        return (event == "ERROR" and of_a_job) or any(it in text for it in ENDS)

    def _failure(self, given: Any) -> None:
        if self.stopped is not None:
            return
        self.failed += 1
        self.say(f"failed: {self.jobs.get(given['jobid'], given['rule_name'])}")
        for log in (Path(str(it)) for it in given.get("log") or []):
            self.say(f"  {words.last_line(log) or 'its log is empty'}", f"  see {log}")

    def _count(self, done: int, every: int) -> None:
        """Where no runs are watched: how many jobs are done, at each fifth of them."""
        if done * 5 // every > self.told:
            self.told = done * 5 // every
            self.say(f"{done} of {every} jobs done")

    # ---- from the start to the end ---------------------------------------------------------------

    def preview(self, experiment: Experiment, results: Path, at_a_time: int) -> None:
        """After a dry run: how many runs there are to do, and how long they would take."""
        sweep = Sweep(experiment, results, measures=True, reports=True, since=time.time())
        self.say(words.headline(sweep.now(at_a_time)))

    def start(
        self,
        experiment: Experiment,
        results: Path,
        said: Sequence[str],
        rules: Collection[str],
        at_a_time: int,
        terminate: Callable[[], None],
    ) -> None:
        """Say what there is to do; ``rules``: those that have a job ahead.

        From now on a signal stops the jobs, which ``terminate`` does, and then Snakemake.
        """
        self.began, self.at_a_time = time.monotonic(), at_a_time
        self.say(*said)
        if "train" in rules and not experiment.training.validate_every:
            self.say(f"{experiment.name}: {words.NO_VALIDATION}")
        if "train" in rules or "evaluate" in rules:
            self.sweep = Sweep(
                experiment,
                results,
                measures="evaluate" in rules,
                reports="report" in rules,
                since=time.time(),
            )
            now = self.sweep.now(at_a_time)
            self.say(words.headline(now))
            self._note_forecast(now, "at the start")
            self.told, self.told_at = self._fifths(now), time.monotonic()
            if self.took_over:
                threading.Thread(target=self._follow, args=[self.sweep], daemon=True).start()

        def stop(number: int, _: object) -> None:
            self.stopped = signal.Signals(number)
            for each in (signal.SIGTERM, signal.SIGINT):  # one is enough
                signal.signal(each, signal.SIG_IGN)
            terminate()
            raise KeyboardInterrupt

        for each in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(each) != signal.SIG_IGN:
                signal.signal(each, stop)

    def end(self, ready: bool) -> None:
        """Say how it ended, and by how much the forecast was off."""
        self.ended.set()
        if ready:
            self.say(self._took())
            return
        if self.stopped is not None:
            self.say(f"stopped by {self.stopped.name}; {self._kept()}.")
        else:
            jobs = "1 job" if self.failed == 1 else f"{self.failed} jobs"
            self.say(f"{jobs} failed, as said above; {self._kept()}.")
        self.say(f"The same command goes on from there: {as_typed()}")

    def _kept(self) -> str:
        if self.sweep is None:
            return "what is done is kept"
        now = self.sweep.now(self.at_a_time)
        done, halted = len(now.of("done")), len(now.of("stopped"))
        kept = f"{done} of {len(now.runs)} runs are done and kept"
        return kept + (f", {halted} more as far as they were" if halted else "")

    def _follow(self, sweep: Sweep) -> None:
        """Tell of the progress until the end; a thread of its own, which only reads files."""
        pause = PAUSE
        while not self.ended.wait(pause):
            began = time.monotonic()
            with suppress(OSError, UserError):  # what is being written anew is there the next time
                self._tell(sweep.now(self.at_a_time))
            pause = max(PAUSE, 50 * (time.monotonic() - began))  # of a core no more than 2 %

    def _tell(self, now: Now) -> None:
        self._note_forecast(now, f"after {len(now.of('done'))} of {len(now.runs)} runs")
        if self.redraws:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            line = words.status(now)[: width - 4]  # there is room for ^C
            with self.writing:
                print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
        elif self._fifths(now) > self.told or time.monotonic() - self.told_at > LINE_EVERY:
            self.told, self.told_at = self._fifths(now), time.monotonic()
            self.say(words.status(now))

    @staticmethod
    def _fifths(now: Now) -> int:
        """Fifths of the work on runs, of which training is one half and measuring the other."""
        done = sum((it.state == "done") + (it.trained or it.state == "done") for it in now.runs)
        return done * 5 // max(1, 2 * len(now.runs))

    def _note_forecast(self, now: Now, at: str) -> None:
        """Keep the first forecast that counts all runs: what is judged at the end."""
        it = now.left
        if not self.forecast and it.total and None not in (it.training, it.evaluation):
            self.forecast = time.monotonic() - self.began + it.total
            self.forecast_at, self.of_all = at, it.report is not None

    def _took(self) -> str:
        took = time.monotonic() - self.began
        if not self.forecast or self.sweep is None:
            return f"took {long(took)}"
        said = f"took {long(took)}"
        if not self.of_all:
            report = self.sweep.seconds_of_the_report() or 0.0
            took -= report
            said += f", {long(report)} of it for tables and report; the rest"
        off = (took - self.forecast) / self.forecast
        return (
            f"{said}{':' if self.of_all else ' is'} {abs(off):.0%} {'more' if off >= 0 else 'less'}"
            f" than the {long(self.forecast)} that were forecast {self.forecast_at}"
        )


def as_typed() -> str:
    """The command that was typed."""
    return os.environ.get(AS_TYPED) or shlex.join(["snakemake", *sys.argv[1:]])
