"""What the rows of tables and figures are called for people: the titles of their methods' faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from ssl_methods.config import Run
from ssl_methods.face import Face, written
from ssl_methods.shown import one_line

TUNED = "_tuned"
"""Ends the name of a row with the settings that a study found: `dtc_tuned` is 'DTC (tuned)'."""

_recorded: ContextVar[Mapping[str, Face]] = ContextVar("_recorded", default=MappingProxyType({}))


@contextmanager
def shown_as(faces: Mapping[str, Face]) -> Iterator[None]:
    """Within it, rows are called and drawn as the runs that are shown recorded it."""
    before = _recorded.set(faces)
    try:
        yield
    finally:
        _recorded.reset(before)


def face(row: str) -> Face:
    """The face of a row: what its runs recorded, else that of the packaged method of its name."""
    return _recorded.get().get(row) or written(row)


def faces_of(records: Iterable[tuple[Run, Mapping[str, Any]]]) -> dict[str, Face]:
    """The face of each row from its runs' ``run.yaml``, which may hold anything.

    A row that is not called as its method has the method's family and keeps its own name.
    """
    found: dict[str, Face] = {}
    for run, record in records:
        known = {name: record.get(name) for name in Face._fields}
        texts = {name: one_line(text) for name, text in known.items() if isinstance(text, str)}
        said = Face(**texts) if texts else written(run.choice.method)
        found[run.name] = said if run.name == run.choice.method else Face(family=said.family)
    return found


def label(row: str) -> str:
    """The row's name as people read it; its own where its method has no title."""
    base = row.removesuffix(TUNED)
    return (face(base).title or base) + (" (tuned)" if row != base else "")


def labels(rows: Iterable[str]) -> str:
    """Several of them in a sentence: 'DTC, Mean teacher'."""
    return ", ".join(map(label, rows))
