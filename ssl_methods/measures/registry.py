"""Metrics by name: the built-in ones, files of this folder, and files that the user names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from ssl_methods.errors import UserError
from ssl_methods.measures.base import (
    LARGEST,
    NSD,
    OF_CASES,
    OF_PAPERS,
    OF_RUNS,
    Measure,
    Metric,
    check_name,
)
from ssl_methods.plugins import Plugins, is_file, name_of

METRICS = Plugins("ssl_methods.measures", "metric")


def of(name: str) -> Measure:
    """The row of a column of numbers; one that nothing is known of has its name for a title.

    A column of the largest components has the row of its metric, and is not compared.
    """
    plain = name.removesuffix(LARGEST)
    column = NSD if plain.startswith(NSD) else plain
    if column in OF_CASES or column in OF_RUNS:
        row = (OF_CASES | OF_RUNS)[column]
    elif column in METRICS.names():
        row = metric(column).measure
    else:
        row = Measure(name, compared=False)
    return row if plain == name else replace(row, compared=False)


def compared(columns: Collection[str]) -> dict[str, Measure]:
    """The columns by which methods are compared: the metrics of the papers, then others."""
    found = {name: of(name) for name in [*OF_PAPERS, *METRICS.names()] if name in columns}
    return {name: row for name, row in found.items() if row.compared}


# ---- metrics in files of their own ---------------------------------------------------------------


def name_metrics(given: Iterable[str]) -> None:
    """Make known those metrics that are files of the user's own, which are programs.

    Only for files that the user gave. Raises UserError as ``Plugins.register`` does, or if a name
    is no column's.
    """
    for one in given:
        if is_file(one):
            try:
                check_name(name_of(one))
            except ValueError as error:
                raise UserError(f"{one}: {error}") from None
            METRICS.register(Path(one))


def named(given: Iterable[str], where: str) -> dict[str, Metric]:
    """The metrics that ``evaluation.metrics`` names, by the name of their column.

    ``where`` holds the setting: records are data, so that a file that one names runs only if the
    user has named it too. Raises UserError if that is not so, if there is no such metric, or if two
    have one heading.
    """
    found: dict[str, Metric] = {}
    headings = {row.heading: name for name, row in OF_CASES.items()}
    for name in modules_of(given, where):
        found[name] = metric(name)
        heading = found[name].measure.heading
        if heading in headings:
            raise UserError(
                f"{METRICS.modules()[name]}: is headed '{heading}', as '{headings[heading]}' is; "
                "give its measure another title"
            )
        headings[heading] = name
    return found


def modules_of(given: Iterable[str], where: str) -> dict[str, str]:
    """Name to module (of files of one's own, their path) of the metrics that a setting names.

    Imports none. Raises UserError as ``named`` does.
    """
    found = {}
    for one in given:
        name = name_of(one)
        if is_file(one) and name not in METRICS.own:
            raise UserError(
                f"{where}: its metric is a program, {one}, which runs only if you name it too: "
                f"--metric {one}"
            )
        METRICS.check(name)
        found[name] = METRICS.modules()[name]
    return found


def metric(name: str) -> Metric:
    """A metric in a file of its own. Raises UserError if the file does not say all that it must."""
    return _made(name, METRICS.modules()[name])


@cache
def _made(name: str, module: str) -> Metric:
    made = METRICS.subclass(name, Metric)()
    if not isinstance(getattr(made, "measure", None), Measure):
        raise UserError(f"{module}: must set measure = Measure(title, ...)")
    try:
        for both in (True, False):
            made.measure.of_empty(both, (1, 1, 1), (1.0, 1.0, 1.0))
    except ValueError as error:
        raise UserError(f"{module}: {error}; give its measure one, as range=(0, 1)") from None
    return made
