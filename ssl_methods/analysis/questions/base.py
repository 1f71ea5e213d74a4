"""The contract of a question: the table that answers it, and how that is read and noted.

A file beside this one, or one's own that an experiment names under ``questions``, is one question:
it defines one subclass of ``Question``, and its name is the file's. ``collect`` writes its table as
CSV, Markdown and LaTeX; the page shows it in a section of its own, or in that of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import pandas as pd

from ssl_methods.analysis.design import Design
from ssl_methods.analysis.latex import Marks
from ssl_methods.analysis.shown import number, or_dash
from ssl_methods.analysis.table_files import FLAG, NUMBER, TEXT, WHOLE, Kind
from ssl_methods.analysis.tables import roles
from ssl_methods.config import Experiment, Run
from ssl_methods.measures import of

__all__ = ["FLAG", "NUMBER", "TEXT", "WHOLE", "Measured", "Part", "Question"]


class Part(NamedTuple):
    """What a section of the page is made of: a table, or words alone.

    ``opened_by``: the line that opens it, if it is folded. ``file``: where it is kept.
    ``wraps``: its cells hold long text.
    """

    table: pd.DataFrame | None = None
    note: str = ""
    file: str = ""
    opened_by: str = ""
    words: str = ""
    marks: Marks = ()
    sortable: bool = True
    wraps: bool = False


class Read(NamedTuple):
    """A table as it is read: its cells as text with each row's role as index, its note, its marks
    (``analysis.marks``)."""

    table: pd.DataFrame
    note: str
    marks: Marks = ()


@dataclass
class Measured:
    """What an experiment has measured, and what it declares of comparisons (``design``).

    ``declared``: every run of its grid; ``done``: those that are trained and evaluated.
    ``rows``: ``cases.csv`` as it was measured. ``cases``: those that enter a mean, with the rows of
    the mean over classes if there are several (``tables.with_class_mean``). ``runs``: ``runs.csv``.
    """

    experiment: Experiment
    root: Path
    design: Design
    declared: list[Run]
    done: list[Run]
    rows: pd.DataFrame
    cases: pd.DataFrame
    runs: pd.DataFrame
    questions: Mapping[str, Question] = field(default_factory=dict)
    answers: dict[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """The answer to a question, which another may build on."""
        if name not in self.answers:
            self.answers[name] = self.questions[name].answer(self)
        return self.answers[name]


class Question:
    """Base of all questions.

    ``title``: of the section. ``link``: the word that leads to it; '' for the title.
    ``place``: the order on the page; those of one's own are last unless they say otherwise.
    ``section``: the question in whose section this one's table is folded, opened by its title;
    ``results`` for the first section, where it is not folded; '' for a section of its own.
    ``columns``: of the table, each with its kind; a name between < and > stands for several columns
    of numbers.
    ``kept``: which of its files a showcase holds, by their endings.
    """

    title: str = ""
    link: ClassVar[str] = ""
    place: ClassVar[int] = 1000
    section: ClassVar[str] = ""
    columns: ClassVar[Mapping[str, Kind]] = {}
    kept: ClassVar[Sequence[str]] = (".csv", ".tex")

    def __init__(self, name: str, experiment: Experiment) -> None:
        self.name, self.experiment = name, experiment

    def answer(self, measured: Measured) -> pd.DataFrame:
        """The table, with its heading also where it has no rows. The same for the same bytes."""
        raise NotImplementedError(f"{type(self).__name__} must define answer()")

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table as it is read, every cell a text; its index is each row's role.

        Here every column by its name, numbers as their metric is shown.
        """
        cells = {
            _heading(name): [_cell(value, name, kind) for value in table[name]]
            for name, kind in self.columns.items()
            if name in table
        }
        return pd.DataFrame(cells, index=roles(table))

    def note(self, table: pd.DataFrame) -> str:
        """What stands below the table wherever it is shown: whole sentences."""
        return ""

    def read(self, table: pd.DataFrame) -> dict[str, Read]:
        """The files with .md and .tex, by name: most often one, of the table's name."""
        return {self.name: Read(self.shown(table), self.note(table))}

    def files(self, table: pd.DataFrame) -> list[str]:
        """The names of those files that a showcase holds."""
        shown = [f"{name}{end}" for end in self.kept if end != ".csv" for name in self.read(table)]
        return [*([f"{self.name}.csv"] if ".csv" in self.kept else []), *shown]

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        """What the page shows, from top to bottom; nothing without rows."""
        if table.empty:
            return []
        return [Part(self.shown(table)), self.noted(table)]

    def noted(self, table: pd.DataFrame) -> Part:
        """The note, with the files that hold the table."""
        return Part(note=self.note(table), file=f"tables/{self.name}.csv, .md, .tex")


def _heading(column: str) -> str:
    row = of(column)
    return row.heading if row.title != column else column.replace("_", " ").capitalize()


def _cell(value: object, column: str, kind: Kind) -> str:
    if kind == NUMBER:
        row = of(column)
        return number(value, row.digits, row.scale)
    return number(value, 0) if kind == WHOLE else or_dash(value)
