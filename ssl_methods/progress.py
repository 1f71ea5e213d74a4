"""What the jobs of a run say while they work, and how long they took: `progress.jsonl`.

In: a run's folder. Out: a line of JSON for each thing that is said (docs/reference/formats.md),
appended, so that whoever reads it disturbs nobody. When a job has ended well, one line is left of
it. Nothing rests on this file: without it a run is trained and measured all the same.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_methods.errors import Stopped, UserError, printable
from ssl_methods.files import open_in_place, write_text

FILE = "progress.jsonl"
SILENCE = 900.0  # seconds after which a job on another machine is no longer taken to be at work

Row = dict[str, float]


@dataclass
class Job:
    """What one job has said: ``train`` or ``evaluate``; ``of``: its iterations, or its cases.

    ``rows`` have ``at``, how many of them are done, and ``time``, in seconds since 1970. ``end`` is
    ``done``, ``failed``, ``stopped``, or blank; ``seconds`` is how long the job took, all in all.
    """

    name: str
    pid: int
    host: str
    began: float
    device: str = ""
    of: int = 0
    rows: list[Row] = field(default_factory=list)
    end: str = ""
    said: str = ""
    seconds: float = 0.0

    @property
    def at(self) -> int:
        return int(self.rows[-1]["at"]) if self.rows else 0

    @property
    def heard(self) -> float:
        """When it last said something."""
        return self.rows[-1]["time"] if self.rows else self.began

    def is_at_work(self, now: float) -> bool:
        """Whether it has not ended; of another machine it is known by what it said lately."""
        if self.end:
            return False
        if self.host == socket.gethostname():
            return is_alive(self.pid)
        return now - self.heard < SILENCE

    def seconds_left(self) -> float | None:
        """The seconds that are left by its pace since it began; None if it has said too little."""
        own = [row for row in self.rows if row["time"] >= self.began]
        if len(own) < 2 or own[-1]["at"] <= own[0]["at"]:
            return None
        pace = (own[-1]["time"] - own[0]["time"]) / (own[-1]["at"] - own[0]["at"])
        return pace * (self.of - self.at)


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


# ---- saying --------------------------------------------------------------------------------------


class Report:
    """What a job appends to; a disk that is full takes nothing from the job itself."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path, self.name, self.began = folder / FILE, name, _began()
        jobs = read(folder)
        # Of a run that is resumed the curve goes on; what is trained anew has no measurements.
        kept = [job for job in jobs if job.end != "done" or job.name != name]
        if name == "train":
            kept = [job for job in kept if job.name == "train"]
        self.kept = [line for job in kept for line in _lines(job)]
        self.start: dict[str, Any] = {
            "job": name, "pid": os.getpid(), "host": socket.gethostname(), "began": self.began,
        }  # fmt: skip
        self._write([*self.kept, self.start])

    def computes(self, device: str, of: int) -> None:
        """On which device, and how many iterations or cases it has."""
        self.start |= {"device": device, "of": of}
        self._append({"device": device, "of": of})

    def at(self, done: int, values: Mapping[str, float] | None = None) -> None:
        """So many are done; ``values`` are what is known of the last."""
        rounded = {key: float(f"{value:.6g}") for key, value in (values or {}).items()}
        self._append({"at": done, "time": round(time.time(), 3)} | rounded)

    def end(self, how: str, said: str = "") -> None:
        end = {"end": how, "said": said, "seconds": round(time.time() - self.began, 3)}
        if how == "done":
            self._write([line for line in self.kept if self.name != "train"] + [self.start | end])
        else:
            self._append(end)

    def _append(self, line: Mapping[str, Any]) -> None:
        with suppress(OSError, UserError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open_in_place(self.path, flags) as file:
                file.write(f"{json.dumps(line)}\n".encode())

    def _write(self, lines: list[dict[str, Any]]) -> None:
        with suppress(OSError, UserError):
            write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in lines))


@contextmanager
def reported(folder: Path, name: str) -> Iterator[Report]:
    """Tell of a job while the block runs, and how it ended."""
    report = Report(folder, name)
    try:
        yield report
    except BaseException as error:
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        said = str(error) or type(error).__name__
        report.end("stopped" if stopped else "failed", printable(said, 300))
        raise
    report.end("done")


def _began() -> float:
    """When this process began, by what the system says of it; where it says nothing, now."""
    try:
        ticks = int(
            Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        )
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age = 0.0
    return round(time.time() - age, 3)


# ---- reading -------------------------------------------------------------------------------------


def read(folder: Path) -> list[Job]:
    """The jobs in the order in which they began; what is no line of this file is passed over."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    jobs: list[Job] = []
    for line in text.splitlines():
        with suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
            _take(json.loads(line), jobs)
    return jobs


def _take(line: Any, jobs: list[Job]) -> None:
    """Enter a line of the file into the jobs. Raises what a line that is none raises."""
    if "job" in line:
        jobs.append(
            Job(str(line["job"]), int(line["pid"]), str(line["host"]), float(line["began"]))
        )
        before = jobs[-2] if len(jobs) > 1 else None
        if before is not None and before.name == jobs[-1].name:  # resumed: its curve goes on
            jobs[-2:] = [jobs[-1]]
            jobs[-1].rows = before.rows
    job = jobs[-1] if jobs else None
    if job is None:
        return
    if "of" in line:
        job.device, job.of = str(line["device"]), int(line["of"])
    if "at" in line:
        row = {str(key): float(value) for key, value in line.items()}
        if not math.isfinite(row["at"]) or not math.isfinite(row["time"]):
            return
        while job.rows and job.rows[-1]["at"] >= row["at"]:  # from an earlier checkpoint
            job.rows.pop()
        job.rows.append(row)
    if "end" in line:
        job.end, job.said = str(line["end"]), str(line.get("said", ""))
        job.seconds = float(line.get("seconds", 0.0))


def _lines(job: Job) -> list[dict[str, Any]]:
    """A job as lines of the file."""
    start = {"job": job.name, "pid": job.pid, "host": job.host, "began": job.began}
    if job.device:
        start |= {"device": job.device, "of": job.of}
    end = {"end": job.end, "said": job.said, "seconds": job.seconds} if job.end else {}
    if job.rows:
        return [start, *job.rows, *([end] if end else [])]
    return [start | end]
