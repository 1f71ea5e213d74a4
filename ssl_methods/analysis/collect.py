"""From the folders of runs to the tables: cases, runs, summary, and what is concluded from them.

``collect`` walks the declared grid, so that a run which is not there is seen to be missing.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ssl_methods import rests_on
from ssl_methods.analysis.bibliography import bibtex, cited
from ssl_methods.analysis.design import design_of
from ssl_methods.analysis.jensen import row_ok
from ssl_methods.analysis.latex import Marks, latex
from ssl_methods.analysis.marks import NOTE as MARKS_NOTE
from ssl_methods.analysis.measurements import (
    COUNTS,
    RUN_COLUMNS,
    is_done,
    metric_columns,
    read_cases,
)
from ssl_methods.analysis.names import faces_of, shown_as
from ssl_methods.analysis.questions.base import Measured
from ssl_methods.analysis.questions.registry import questions, table_names
from ssl_methods.analysis.run_files import (
    COST_COLUMNS,
    read_cases_of_run,
    read_cost,
    read_run_record,
    read_split,
)
from ssl_methods.analysis.shown import markdown
from ssl_methods.analysis.table_files import SUMS, no_formula, write_sums, write_table
from ssl_methods.analysis.tables import CELL, by_class, counts, with_class_mean
from ssl_methods.config import Experiment, Run, budget_text
from ssl_methods.data.compared import compared_now, read_compared, runs_of
from ssl_methods.data.splits import load_split, measuring_checksum, split_name
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.files import atomic, write_text
from ssl_methods.locks import alone
from ssl_methods.run_record import (
    MEASURED,
    Record,
    check_data,
    check_measured,
    check_settings,
    read_record,
    trained_on,
)

log = logging.getLogger(__name__)


def collect(experiment: Experiment, results: Path) -> None:
    """Write the tables to ``results/<experiment>/tables/``: the measurements, and an answer to each
    question (``questions``), as CSV, Markdown and LaTeX.

    Waits while another process writes there.

    Raises UserError if no run is done, if a run was trained or measured with other settings than
    the experiment declares or on other data than are prepared, or if its cases are not the test
    cases of its split.
    """
    folder = results / experiment.name / "tables"
    with alone(folder):
        (folder.parent / rests_on.COLLECTED).unlink(missing_ok=True)
        _collect(experiment, results, folder)
        rests_on.record_tables(experiment, results)


def _collect(experiment: Experiment, results: Path, folder: Path) -> None:
    known_split.cache_clear()
    choices = read_compared(experiment, results)
    design = design_of(experiment, choices)
    declared = [*runs_of(experiment, results)]
    done = [run for run in declared if is_done(run, results)]
    for line in experiment.waiting(compared_now(experiment, results)):
        log.warning(line)
    if not done:
        raise UserError(
            f"{results / experiment.name}: no run is done yet; train and evaluate first"
        )
    write_cases(folder / "cases.csv", experiment, results, done)
    (folder / SUMS).unlink(missing_ok=True)  # of earlier tables; written again when all are there

    rows = read_cases(folder / "cases.csv")
    metrics = metric_columns(rows)
    check_references(rows, results / experiment.name)
    cases = with_class_mean(rows, metrics)
    runs = run_table(experiment, results, rows, cases, metrics)
    asked = questions(experiment)
    measured = Measured(experiment, results, design, declared, done, rows, cases, runs, asked)
    write_table(folder / "runs.csv", runs)
    with shown_as(faces_of(first_records(done, results))):
        for name, question in asked.items():
            table = measured.table(name)
            write_table(folder / f"{name}.csv", table, question.columns)
            for file, (shown, note, marked) in question.read(table).items():
                write_shown(folder / file, shown, note, marked)
    write_sums(folder, [f"{name}.csv" for name in table_names(experiment)])
    write_text(folder / "references.bib", bibtex(cited(experiment)))


def first_records(done: list[Run], results: Path) -> Iterator[tuple[Run, dict[str, Any]]]:
    """One run of each row, and what it recorded."""
    for run in {run.name: run for run in reversed(done)}.values():
        yield run, read_run_record(results / run.folder / "run.yaml")


def write_cases(path: Path, experiment: Experiment, results: Path, runs: list[Run]) -> None:
    """The measurements of these runs below one another, as ``cases.csv``."""
    with atomic(path) as binary:
        text = io.TextIOWrapper(binary, "utf-8", newline="", write_through=True)
        csv.writer(text, lineterminator="\n").writerows(case_rows(experiment, results, runs))
        text.detach()


def cases_of_runs(experiment: Experiment, results: Path, runs: list[Run]) -> pd.DataFrame:
    """The measurements of these runs as they enter comparisons.

    Raises UserError if one of them is not measured yet.
    """
    known_split.cache_clear()
    for run in runs:
        if not is_done(run, results):
            raise UserError(f"{results / run.folder}: is not trained and evaluated yet")
    with TemporaryDirectory() as folder:
        path = Path(folder, "cases.csv")
        write_cases(path, experiment, results, runs)
        cases = read_cases(path)
    return with_class_mean(cases, metric_columns(cases))


def write_shown(path: Path, shown: pd.DataFrame, note: str, marked: Marks = ()) -> None:
    """A table as it is read, with its note, to ``path`` with .md and (marked) with .tex."""
    write_text(path.with_suffix(".md"), markdown(shown, note))
    said = f"{note} {MARKS_NOTE}" if any(marked) else note
    write_text(path.with_suffix(".tex"), latex(shown, said, marked, path.stem))


# ---- cases ---------------------------------------------------------------------------------------


def case_rows(experiment: Experiment, results: Path, runs: list[Run]) -> Iterator[list[Any]]:
    """The heading, then each run's rows as they stand in its file; one run in memory at a time."""
    heading: list[str] | None = None
    checked = Checked(experiment, results)
    for run in runs:
        path = results / run.folder / "cases.csv"
        read_run_record(results / run.folder / "run.yaml")  # no damage is taken for other settings
        recorded = checked.record(run)
        own, rows = read_cases_of_run(path)
        check_cases(run, results, [dict(zip(own, row, strict=True)) for row in rows])
        if heading is None:
            heading = own
            yield [*RUN_COLUMNS, *own]
        if own != heading:
            raise UserError(
                f"{path}: its columns differ from those of other runs; evaluate it again"
            )
        # Runs of earlier versions record no role.
        role = str(recorded.get("role", "method"))
        identity = list(identify(experiment, run, results, role).values())
        yield from ([*identity, *map(no_formula, row)] for row in rows)
    checked.say()


def identify(
    experiment: Experiment, run: Run, results: Path, role: str | None = None
) -> dict[str, Any]:
    """The columns that name a run; numbers of cases from its split, None without one.

    These are the numbers of the budget, also for an upper bound, which is given every label.
    """
    split = known_split(split_path(run, results))
    return {
        "dataset": experiment.dataset.name,
        "method": run.name,
        "role": role,
        "recipe": run.choice.recipe,
        "budget": budget_text(run.budget),
        "labeled": len(split["labeled"]) if split else None,
        "unlabeled": len(split["unlabeled"]) if split else None,
        "subset": run.subset,
        "seed": run.seed,
        "crop_used_label": experiment.dataset.crop_used_label,
    }


def split_path(run: Run, results: Path) -> Path:
    return results / run.experiment / "splits" / split_name(run.budget, run.subset)


@cache
def known_split(path: Path) -> dict[str, Any]:
    """Many runs share one; empty if there is none."""
    return read_split(path) if path.is_file() else {}


class Checked:
    """Whether runs still rest on what is declared and prepared; says at the end what is not known.

    Without a prepared store the runs are compared with one another.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        folder = store_folder(experiment.dataset, results)
        self.store = Store.open(folder) if (folder / "manifest.json").is_file() else None
        self.results = results
        self.not_recorded: list[str] = []
        self._now: dict[tuple[Path, bool], tuple[str, str]] = {}
        self._measured_on: dict[Path, tuple[str, Path]] = {}

    def record(self, run: Run) -> dict[str, Any]:
        """What ``run.yaml`` holds.

        Raises UserError if the run was trained with other settings than are declared or on other
        data than are prepared, or measured with others since.
        """
        record = read_record(self.results / run.folder)
        check_settings(record, run)
        trained_on, measured_on = self._checksums(run, record)
        if trained_on is not None and self.store is not None:
            check_data(record, trained_on, self.store.folder)
        measured = check_measured(record, run, measured_on)
        if measured is None or not record.knows_its_training or "data" not in record.rests_on:
            self.not_recorded.append(str(run.folder))
        elif measured_on is None:
            first, whose = self._measured_on.setdefault(
                split_path(run, self.results), (measured, run.folder)
            )
            if measured != first:
                raise UserError(
                    f"{record.folder}: was measured on other data than {whose}; evaluate both again"
                )
        return dict(record.content)

    def _checksums(self, run: Run, record: Record) -> tuple[str | None, str | None]:
        """Checksums of the data that are prepared now: what the run is trained on, and measured on.

        None if it is not known, or if nothing is recorded that it could be compared with.
        """
        recorded = "data" in record.rests_on or (record.folder / MEASURED).is_file()
        if self.store is None or not recorded:
            return None, None
        path, bound = split_path(run, self.results), record.content.get("role") == "bound"
        if (path, bound) not in self._now:
            split = load_split(run, self.store, self.results)
            self._now[path, bound] = (
                trained_on(record, self.store, split),
                measuring_checksum(self.store, split),
            )
        return self._now[path, bound]

    def say(self) -> None:
        if self.not_recorded:
            log.warning(
                "%d of the runs, e.g. %s, are of an earlier version, which did not record all that "
                "they rest on; whether they are of these settings and data is not known",
                len(self.not_recorded),
                self.not_recorded[0],
            )


def check_cases(run: Run, results: Path, rows: list[dict[str, str]]) -> None:
    """Each test case of the split once per class: means over different cases cannot be compared."""
    path = results / run.folder / "cases.csv"
    seen = [(row.get("case"), row.get("class")) for row in rows]
    split = known_split(split_path(run, results))
    if not split:
        raise UserError(f"{split_path(run, results)}: is missing; draw the splits again")
    wanted = set(split["test"])
    classes = {klass for _, klass in seen}
    if (
        not seen
        or set(seen) != {(case, klass) for case in wanted for klass in classes}
        or len(seen) != len(set(seen))
    ):
        raise UserError(
            f"{path}: its cases are not the {len(wanted)} test cases of the split; evaluate it "
            "again"
        )


def check_references(cases: pd.DataFrame, folder: Path) -> None:
    """Every run was measured against the same references, as far as the flags tell."""
    said = cases.groupby(["case", "class"], sort=False)["empty_reference"].nunique()
    if (said > 1).any():
        case, klass = said.index[said > 1][0]
        raise UserError(
            f"{folder}: by some runs case '{case}' has class '{klass}' and by others it does not: "
            "they were measured against different labels; evaluate all runs again"
        )


# ---- runs and summary ----------------------------------------------------------------------------


def run_table(
    experiment: Experiment,
    results: Path,
    cases: pd.DataFrame,
    entering: pd.DataFrame,
    metrics: list[str],
) -> pd.DataFrame:
    """One row per declared run (and class): means over cases, counts, costs, status.

    ``cases`` are all rows as they were measured, ``entering`` those that enter a mean
    (``tables.with_class_mean``).
    """
    by_run = dict(tuple(cases.groupby([*CELL], sort=False)))
    means_of = entering.groupby([*CELL, "class"], sort=False)[metrics]
    means_by_run = means_of.agg(lambda column: column.mean(skipna=False)).to_dict("index")
    rows = []
    for run in runs_of(experiment, results):
        cell = (run.name, budget_text(run.budget), run.subset, run.seed)
        own = by_run.get(cell)
        if own is None:
            rows.append(identify(experiment, run, results) | {"status": "missing"})
            continue
        identity = identify(experiment, run, results, own["role"].iloc[0])
        cost = read_cost(results / run.folder / "cost.json")
        for klass, group in by_class(own).items():
            means = means_by_run.get((*cell, klass), dict.fromkeys(metrics, np.nan))
            costs = {name: cost.get(name) for name in COST_COLUMNS}
            checked = {"jensen_ok": row_ok(means), "status": "done"}
            rows.append(identity | {"class": klass} | counts(group) | means | costs | checked)
    columns = [*RUN_COLUMNS, "class", *COUNTS, *metrics]
    columns += [*COST_COLUMNS, "jensen_ok", "status"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(role=table.groupby("method", sort=False)["role"].transform("first"))
