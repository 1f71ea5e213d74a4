"""Snakemake's memory, brought up to what the results say of themselves, before jobs are planned.

Results may have been copied, moved, restored or made by hand, and of what is no job's output some
may have been deleted. Each result says in its own folder what it rests on (``rests_on``). That is
written into `.snakemake` where nothing is known there; then Snakemake decides as ever and says why.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.persistence.file import FilePersistence

from ssl_methods import rests_on
from ssl_methods.config import Run
from ssl_methods.data.prepare import made_from
from ssl_methods.files import file_sha256
from ssl_methods.grid import Grid

SHOWN = 3


class Memory:
    """Snakemake's records of jobs, of which there is one for each output."""

    def __init__(self) -> None:
        self.records = FilePersistence(nolock=True)
        self.checksums: dict[str, str] = {}

    def has(self, file: str) -> bool:
        records = self.records
        return os.path.exists(records._record_path(records._metadata_path, file))

    def write(self, rule: str, outputs: Sequence[str], inputs: Sequence[str], text: str) -> None:
        """Record outputs as made by the job from these inputs, with ``text`` as its parameter.

        With the checksums of the inputs, since copies have times of any order.
        """
        now = time.time()
        record = MetadataRecord(
            rule=rule,
            input=sorted(inputs),
            input_checksums={file: self.checksum(file) for file in inputs if os.path.isfile(file)},
            params=[repr(text)],
            record_format_version=RECORD_FORMAT_VERSION,
            incomplete=False,
            job_hash=hash((rule, *outputs)),
            starttime=now,
            endtime=now,
        )
        for file in outputs:
            self.records._write_record(file, record)

    def checksum(self, file: str) -> str:
        if file not in self.checksums:
            self.checksums[file] = f"sha256:{file_sha256(Path(file))}"
        return self.checksums[file]


def recall(grid: Grid) -> None:
    """Write what Snakemake does not know of an experiment, and say what no job brings back.

    A run that lacks nothing costs a listing of its folder.
    """
    _Recall(grid).all()


class _Recall:
    def __init__(self, grid: Grid) -> None:
        self.grid, self.memory = grid, Memory()
        self.recorded = rests_on.Recorded(grid.experiment, grid.results)
        self.lost: list[str] = []

    def all(self) -> None:
        self.store()
        for budget in self.grid.experiment.budgets:
            for subset in self.grid.experiment.subsets:
                self.split(budget, subset)
        for folder, run in self.grid.runs.items():
            self.run(folder, run)
        self.tables_and_report()
        for file in self.lost[:SHOWN]:
            _say(f"{file}: is gone, and only training brings it back: delete its folder for that")
        if len(self.lost) > SHOWN:
            _say(f"... and {len(self.lost) - SHOWN} more")

    def store(self) -> None:
        """A store is not replaced under runs that were brought with it."""
        folder = Path(self.grid.manifest).parent
        if not os.path.exists(self.grid.manifest):
            if any(os.path.exists(f"{run}/model.pt") for run in self.grid.runs):
                _say(
                    f"{folder}: is not here, though trained runs are; 'prepare' it by hand before "
                    "more are trained, or those that are there will be trained again too"
                )
        elif self.memory.has(self.grid.manifest):
            return
        elif made_from(folder) == self.grid.fingerprint:
            self.memory.write("prepare", [self.grid.manifest], [], self.grid.fingerprint)
        else:
            _say(
                f"{folder}: its source, or the code that prepares it, was copied or has changed; "
                "taken as it is, until 'prepare' is run"
            )

    def split(self, budget: int | float, subset: int) -> None:
        file = self.grid.split(budget, subset)
        if os.path.exists(file) and not self.memory.has(file):
            text = self.recorded.split(budget, subset)
            self.memory.write("split", [file], [self.grid.manifest], text)

    def run(self, folder: str, run: Run) -> None:
        try:
            there = set(os.listdir(folder))
        except OSError:
            return
        model = [f"{folder}/run.yaml", f"{folder}/model.pt"]
        data = [self.grid.manifest, self.grid.split(run.budget, run.subset)]
        if "model.pt" in there:
            self.lost += [f"{folder}/{name}" for name in rests_on.OF_TRAINING if name not in there]
            if "run.yaml" not in there:
                self.memory.write("train", model, data, "run.yaml is gone")
            elif not self.memory.has(model[1]):
                self.memory.write("train", model, data, self.recorded.training(run))
        if "cases.csv" in there:
            measured = [f"{folder}/cases.csv"]
            gone = [name for name in rests_on.OF_EVALUATION if name not in there]
            if gone:
                self.memory.write("evaluate", measured, model[1:], f"{gone[0]} is gone")
            elif not self.memory.has(measured[0]):
                self.memory.write("evaluate", measured, model[1:], self.recorded.evaluation(run))

    def tables_and_report(self) -> None:
        """Snakemake asks for nothing that lies behind a file that is up to date."""
        tables, report = self.grid.tables, self.grid.report
        there = {file for file in [*tables, report] if os.path.exists(file)}
        if not there:
            return
        gone = [file for file in tables if file not in there]
        gone += self.recorded.gone(rests_on.COLLECTED)
        if gone or not self.memory.has(tables[0]):
            measured = [f"{folder}/cases.csv" for folder in self.grid.runs]
            text = f"{gone[0]} is gone" if gone else self.recorded.tables()
            self.memory.write("collect", tables, [self.grid.manifest, *measured], text)
        if report in there:
            gone = self.recorded.gone(rests_on.REPORTED)
            if gone or not self.memory.has(report):
                text = f"{gone[0]} is gone" if gone else self.recorded.report()
                self.memory.write("report", [report], [self.grid.manifest, *tables], text)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
