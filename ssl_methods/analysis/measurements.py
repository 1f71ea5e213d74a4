"""Which runs are done, and what they measured: ``tables/cases.csv`` and its columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ssl_methods.analysis.table_files import read_table
from ssl_methods.analysis.tables import FLAGS, PATIENT
from ssl_methods.config import Run
from ssl_methods.errors import UserError

RUN_COLUMNS = [
    "dataset", "method", "role", "recipe", "budget", "labeled", "unlabeled", "subset", "seed",
    "crop_used_label",
]  # fmt: skip
COUNTS = ["cases", "measurements", "failures", "absent", "false_positives"]


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
        name
        for name in cases
        if name not in {*RUN_COLUMNS, "case", "class", PATIENT, "failure", *FLAGS}
    ]
