"""Metrics by name: the built-in ones, files of this folder, and files that the user names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ssl_methods.measures.base import LARGEST, NSD, OF_CASES, OF_PAPERS, OF_RUNS, Measure, Metric
from ssl_methods.plugins import Plugins

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
        row = METRICS.subclass(column, Metric).measure
    else:
        row = Measure(name, compared=False)
    return row if plain == name else replace(row, compared=False)


def compared(columns: Collection[str]) -> dict[str, Measure]:
    """The columns by which methods are compared: the metrics of the papers, then others."""
    found = {name: of(name) for name in [*OF_PAPERS, *METRICS.names()] if name in columns}
    return {name: row for name, row in found.items() if row.compared}
