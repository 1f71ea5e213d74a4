"""Tables as the page shows them: headings and rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ssl_methods.analysis.names import label
from ssl_methods.analysis.shown import UNKNOWN, is_apart, labeled_text, number, or_dash, time_text
from ssl_methods.analysis.tables import in_order, overall, present, roles

LISTED = 1000
"""Rows of a list of single measurements; ``cases.csv`` holds all."""


class Table(NamedTuple):
    """Headings, and rows of cells as text; the style of each row and marks of cells, if any."""

    head: list[str]
    rows: list[list[str]]
    styles: Sequence[str] = ()
    marks: Sequence[Mapping[str, str]] = ()


def of_frame(frame: pd.DataFrame, marks: Sequence[Mapping[str, str]] = ()) -> Table:
    """What its index calls no method is set apart (``analysis.tables.shown_summary``).

    ``marks`` are those of ``analysis.marks``.
    """
    return Table(
        [str(name) for name in frame.columns],
        [[str(cell) for cell in row] for row in frame.to_numpy()],
        row_styles(frame.index),
        marks,
    )


def row_styles(kinds: Iterable[object]) -> list[str]:
    """'apart' for upper bounds and controls, 'starts' where the role changes."""
    found, before = [], None
    for kind in kinds:
        starts = before is not None and kind != before and (is_apart(kind) or is_apart(before))
        found.append(" ".join(["apart"] * is_apart(kind) + ["starts"] * starts))
        before = kind
    return found


def costs(summary: pd.DataFrame) -> Table:
    """What a run costs, per method and budget: means over its runs. Controls train nothing."""
    trained = overall(summary)
    trained = in_order(trained[roles(trained) != "control"], "labeled")
    head = [
        "Method",
        "Labeled",
        "Training",
        "Wall clock",
        "Per iteration",
        "Forward passes / iteration",
    ]
    head += ["Parameters", "Peak memory", "Device"]
    rows = []
    for _, row in trained.iterrows():
        memory = number(row["peak_memory_mb"], 0)
        rows.append([
            label(row["method"]),
            labeled_text(row),
            time_text(row, "train_seconds"),
            time_text(row, "wall_seconds"),
            f"{number(row['seconds_per_iteration'], 1, 1000)} ms",
            number(row["forward_passes_per_iteration"], 1),
            f"{number(row['parameters'], 2, 1e-6)} M",
            memory if memory == UNKNOWN else f"{memory} MB",
            row["device"] or UNKNOWN,
        ])  # fmt: skip
    return Table(head, rows, row_styles(roles(trained)))


def missing(runs: pd.DataFrame) -> Table:
    """The declared runs that are not there."""
    absent = runs[runs["status"] == "missing"]
    return Table(
        ["Method", "Budget", "Subset", "Seed"],
        [
            [label(row["method"]), *(str(row[name]) for name in ("budget", "subset", "seed"))]
            for _, row in absent.iterrows()
        ],
    )


class Counted(NamedTuple):
    """Something that was counted, of how many, and each as a row."""

    found: int
    of: int
    table: Table


def failures(cases: pd.DataFrame) -> Counted:
    """The empty predictions of classes that the case has; those of controls apart.

    ``cases`` are all rows as they were measured; of a run, a case and a class each.
    """
    cases = cases[roles(cases) != "control"]
    return _counted(present(cases), cases["failure"] > 0)


def false_positives(cases: pd.DataFrame) -> Counted:
    """The predictions of classes that the case does not have; those of controls apart."""
    cases = cases[(roles(cases) != "control") & cases["empty_reference"]]
    return _counted(cases, ~cases["empty_prediction"])


def _counted(cases: pd.DataFrame, which: pd.Series) -> Counted:
    head = ["Method", "Labeled", "Subset", "Seed", "Case", "Class"]
    found = cases[which.reindex(cases.index)]
    labeled, names = found["labeled"].astype("Int64"), found["method"].map(label)
    found = found.assign(labeled=labeled, method=names)
    rows = [
        [or_dash(row[name.lower()]) for name in head]
        for row in found.head(LISTED).to_dict("records")
    ]
    return Counted(len(found), len(cases), Table(head, rows))


def flat(settings: Any, prefix: str = "") -> dict[str, str]:
    """A nested mapping as 'a.b.c' -> text; lists stay one value."""
    if not isinstance(settings, Mapping) or not settings:
        return {prefix: UNKNOWN if settings is None else str(settings)}
    found: dict[str, str] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def common(records: Iterable[Mapping[str, Any]]) -> Table:
    """Key and value over several records: the value if all agree, else how many there are."""
    flats = [flat(record) for record in records]
    keys = list(dict.fromkeys(key for record in flats for key in record))
    rows = []
    for key in keys:
        values = list(dict.fromkeys(record.get(key, UNKNOWN) for record in flats))
        rows.append([key, values[0] if len(values) == 1 else f"{len(values)} different values"])
    return Table(["Key", "Value"], rows)


def one_below_another(records: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per record, its keys and values in one cell: for many records."""
    return Table(
        ["Method", "Settings"],
        [
            [
                label(name),
                ", ".join(f"{key}: {value}" for key, value in flat(record).items() if key),
            ]
            for name, record in records.items()
        ],
    )


def side_by_side(records: Mapping[str, Mapping[str, Any]]) -> Table:
    """One column per record, one row per key; a dash where a record has no such key."""
    flats = {name: flat(record) for name, record in records.items()}
    keys = list(dict.fromkeys(key for record in flats.values() for key in record))
    return Table(
        ["Setting", *map(label, flats)],
        [[key, *(record.get(key, UNKNOWN) for record in flats.values())] for key in keys],
    )
