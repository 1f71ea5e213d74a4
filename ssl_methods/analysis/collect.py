"""From the folders of runs to the tables: cases, runs, summary, and what is concluded from them.

``collect`` walks the declared grid, so that a run which is not there is seen to be missing.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ssl_methods import rests_on
from ssl_methods.analysis.audits import audit_table, audits_note, shown_audits
from ssl_methods.analysis.bibliography import bibtex, cited
from ssl_methods.analysis.claims import claims_note, judge_claims, shown_claims
from ssl_methods.analysis.comparisons import compare, comparison_note, of_pair
from ssl_methods.analysis.design import design_of
from ssl_methods.analysis.jensen import row_ok
from ssl_methods.analysis.latex import Marks, latex
from ssl_methods.analysis.marks import NOTE as MARKS_NOTE
from ssl_methods.analysis.marks import marks
from ssl_methods.analysis.published import published_note, published_table, shown_published
from ssl_methods.analysis.ranks import agreement, ranks
from ssl_methods.analysis.run_files import (
    COST_COLUMNS,
    read_cases_of_run,
    read_cost,
    read_run_record,
    read_split,
)
from ssl_methods.analysis.shown import (
    count_note,
    markdown,
    precision_note,
    role_note,
    shown_comparisons,
    shown_summary,
)
from ssl_methods.analysis.statistics import summarise, support_note
from ssl_methods.analysis.table_files import SUMS, no_formula, read_table, write_sums, write_table
from ssl_methods.analysis.tables import CELL, FLAGS, by_class, counts, with_class_mean
from ssl_methods.analysis.variance import variance_parts
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

RUN_COLUMNS = [
    "dataset", "method", "role", "recipe", "budget", "labeled", "unlabeled", "subset", "seed",
    "crop_used_label",
]  # fmt: skip
COUNTS = ["cases", "measurements", "failures", "absent", "false_positives"]

SUMMARY_NOTE = (
    "Mean over labeled subsets and test cases with its 95 % interval over both (crossed "
    "components; of shares on the logit scale, of distances on the log scale; with fewer than five "
    "subsets it rests on a prior of how these vary too). Checkpoint: the last. Post-processing: "
    "none. An empty prediction counts as a failure, with the volume's diagonal as its distance. "
    "SD: standard deviation of the runs' mean Dice %, over subsets and over seeds. Time: training "
    "of one run."
)


def collect(experiment: Experiment, results: Path) -> None:
    """Write the tables to ``results/<experiment>/tables/``, some of them also as .md and .tex.

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
    done = [run for run in runs_of(experiment, results) if is_done(run, results)]
    for line in experiment.waiting(compared_now(experiment, results)):
        log.warning(line)
    if not done:
        raise UserError(
            f"{results / experiment.name}: no run is done yet; train and evaluate first"
        )
    write_cases(folder / "cases.csv", experiment, results, done)
    (folder / SUMS).unlink(missing_ok=True)  # of earlier tables; written again when all are there

    cases = read_cases(folder / "cases.csv")
    metrics = metric_columns(cases)
    check_references(cases, results / experiment.name)
    audits = audit_table(
        experiment,
        results,
        done,
        cases,
        metrics,
        cases_of(experiment.other_crop, results),
        cases_of(experiment.other_precision, results),
    )
    raw, cases = cases, with_class_mean(cases, metrics)
    runs = run_table(experiment, results, raw, cases, metrics)
    summary = summary_table(experiment, results, runs, raw, summarise(cases, metrics))
    comparisons = compare(cases, design)

    published = published_table(experiment, summary)
    claims = judge_claims(cases, runs)
    tables = {
        "runs": runs,
        "summary": summary,
        "comparisons": comparisons,
        "published": published,
        "claims": claims,
        "ranks": ranks(cases, "dice"),
        "agreement": agreement(cases),
        "variance": variance_parts(cases, "dice"),
        "audits": audits,
    }
    for name, table in tables.items():
        write_table(folder / f"{name}.csv", table)
    write_sums(folder, ["cases.csv", *(f"{name}.csv" for name in tables)])
    write_shown(
        folder / "summary",
        shown_summary(summary),
        summary_note(experiment, summary),
        marks(summary),
    )
    for name, pair in (("comparisons", "baseline"), ("comparisons_with_best", "best")):
        rows = of_pair(comparisons, pair)
        write_shown(folder / name, shown_comparisons(rows), comparison_note(rows, design))
    write_shown(folder / "published", shown_published(published), published_note(published))
    write_shown(folder / "claims", shown_claims(claims), claims_note(claims))
    write_shown(folder / "audits", shown_audits(audits), audits_note(audits))
    write_text(folder / "references.bib", bibtex(cited(experiment)))


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
    write_text(path.with_suffix(".tex"), latex(shown, said, marked))


def summary_note(experiment: Experiment, summary: pd.DataFrame) -> str:
    """What stands below the summary wherever it is shown."""
    known = summary["cases"].dropna()
    few = support_note(len(experiment.subsets), int(known.min())) if len(known) else ""
    rounded = precision_note(summary)
    return " ".join(
        filter(None, [SUMMARY_NOTE, count_note(summary), few, rounded, role_note(summary)])
    )


def is_done(run: Run, results: Path) -> bool:
    """Trained and evaluated: what a table needs is there."""
    return all(
        (results / run.folder / name).is_file() for name in ("run.yaml", "cost.json", "cases.csv")
    )


def read_cases(path: Path) -> pd.DataFrame:
    """``tables/cases.csv`` with boolean flags, and ``failure``: 1 if wrongly empty."""
    cases = read_table(path)
    for name in ("case", "class", *FLAGS):
        if name not in cases:
            raise UserError(f"{path}: has no column '{name}'; run 'collect' again")
        if name in FLAGS and not cases[name].isin([True, False]).all():
            raise UserError(f"{path}: {name} is not True or False; run 'collect' again")
    cases[[*FLAGS]] = cases[[*FLAGS]].astype(bool)
    return cases.assign(failure=(cases["empty_prediction"] & ~cases["empty_reference"]).astype(int))


def cases_of(experiment: str | None, results: Path) -> pd.DataFrame | None:
    """``tables/cases.csv`` of another experiment; None if none is named or it has no tables."""
    path = results / (experiment or "") / "tables" / "cases.csv"
    return read_cases(path) if experiment and path.is_file() else None


def metric_columns(cases: pd.DataFrame) -> list[str]:
    """The measurements among the columns of ``cases.csv``."""
    return [
        name for name in cases if name not in {*RUN_COLUMNS, "case", "class", "failure", *FLAGS}
    ]


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


def summary_table(
    experiment: Experiment,
    results: Path,
    runs: pd.DataFrame,
    cases: pd.DataFrame,
    measured: pd.DataFrame,
) -> pd.DataFrame:
    """One row per declared method and budget (and class); blank where no run is done.

    ``cases`` are all rows as they were measured, ``measured`` what ``summarise`` makes of them.
    """
    rows, groups = [], dict(tuple(cases.groupby(["method", "budget"], sort=False)))
    declared = Counter((run.name, budget_text(run.budget)) for run in runs_of(experiment, results))
    blank = dict.fromkeys(measured.columns, np.nan)
    statistics = {
        (row["method"], row["budget"], row["class"]): row for row in measured.to_dict("records")
    }
    for (method, budget), group in runs.groupby(["method", "budget"], sort=False):
        first, done = group.iloc[0], group[group["status"] == "done"]
        own_cases = by_class(groups[method, budget]) if (method, budget) in groups else {}
        for klass in by_class(cases):
            own = done[done["class"] == klass]
            row = blank | statistics.get((method, budget, klass), {})
            row |= {name: first[name] for name in ("dataset", "method", "role", "recipe", "budget")}
            row |= {
                name: group[name].dropna().iloc[0] if group[name].notna().any() else None
                for name in ("labeled", "unlabeled")
            }
            row |= {"crop_used_label": first["crop_used_label"], "class": klass}
            row |= {"runs_done": len(own), "runs_declared": declared[method, budget]}
            row |= counts(own_cases[klass]) if klass in own_cases else {}
            row |= {name: pd.to_numeric(own[name]).mean(skipna=False) for name in COST_COLUMNS[:-3]}
            for name in COST_COLUMNS[-3:]:
                row[name] = ", ".join(sorted(set(own[name].dropna().astype(str))))
            rows.append(row | {"jensen_ok": row_ok(row)})
    leading = [
        *RUN_COLUMNS[:7],
        "crop_used_label",
        "class",
        "runs_done",
        "runs_declared",
        *COUNTS,
    ]
    frame = pd.DataFrame(rows)
    return frame[leading + [name for name in frame if name not in leading]]
