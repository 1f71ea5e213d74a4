"""``compare``: two experiments that differ in one setting, as tables and one figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.collect import write_shown
from ssl_methods.analysis.compare import (
    ALL,
    comparison,
    comparison_note,
    differing,
    shown_comparison,
)
from ssl_methods.analysis.measurements import read_cases
from ssl_methods.analysis.table_files import write_table
from ssl_methods.analysis.tables import CELL
from ssl_methods.config import Experiment, load_experiment
from ssl_methods.errors import UserError
from ssl_methods.locks import alone
from ssl_methods.measures import of
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import (
    ROW,
    budgets,
    head_grid,
    labeled_text,
    list_methods,
    rows_of,
)
from ssl_methods.reporting.style import RC, column_width, save

FOLDER = "compared"
"""Below the first experiment's results; in it a folder for each that it was compared with."""


def compare(first: Path, second: Path, results: Path, groups: bool = False) -> Path:
    """Write `compared.csv`, .md, .tex, .pdf and .png; returns their folder.

    Args:
        first, second: experiments, whose tables `collect` has made.
        groups: also by group of test cases, see ``analysis.compare.comparison``.

    Raises UserError if an experiment has no tables, or if they differ in none or several settings.
    """
    experiments = load_experiment(first), load_experiment(second)
    one, other = experiments
    if one.name == other.name:
        raise UserError(f"{first} and {second}: are the same experiment, {one.name}")
    setting = differing(one, other)
    cases = [_cases(experiment, results) for experiment in experiments]
    table = comparison(setting, cases[0], cases[1], groups, one.margin)
    runs = [set(own[[*CELL]].itertuples(index=False, name=None)) for own in cases]
    left_out = {one.name: len(runs[0] - runs[1]), other.name: len(runs[1] - runs[0])}
    folder = results / one.name / FOLDER / other.name
    note = comparison_note(table, (one.name, other.name), left_out)
    with alone(folder), mpl.rc_context(RC):
        write_table(folder / "compared.csv", table)
        write_shown(folder / "compared", shown_comparison(table), note)
        save(difference_figure(table, str(setting)), folder, "compared")
    return folder


def _cases(experiment: Experiment, results: Path) -> pd.DataFrame:
    path = results / experiment.name / "tables" / "cases.csv"
    if not path.is_file():
        raise UserError(f"{path}: no tables yet; run 'collect' for {experiment.name} first")
    return read_cases(path)


def difference_figure(table: pd.DataFrame, title: str) -> Figure:
    """Dice, or else the first metric: differences with 95 % intervals, a row per method.

    Columns are budgets; each group of cases has a row of panels.
    """
    metric = "dice" if (table["metric"] == "dice").any() else table["metric"].iloc[0]
    table, measure = table[table["metric"] == metric], of(metric)
    texts, groups = budgets(table), list(dict.fromkeys(table["group"]))
    places, style = rows_of(table), looks(table["method"])
    tall = ROW * (max(places.values()) + 1.4) + 0.12
    figure = Figure(figsize=(column_width(1.4 + 1.9 * len(texts)), 0.75 + tall * len(groups)))
    axes = figure.subplots(len(groups), len(texts), sharex=True, sharey=True, squeeze=False)
    for row, group in zip(axes, groups, strict=True):
        for axis, budget in zip(row, texts, strict=True):
            list_methods(axis, table)
            axis.axvline(0, color="#444444", linewidth=0.7)
            own = table[(table["budget"] == budget) & (table["group"] == group)]
            for _, it in own.iterrows():
                look, y = style[it["method"]], places[it["method"]]
                ends = [it["low"] * measure.scale, it["high"] * measure.scale]
                axis.plot(ends, [y, y], color=look.colour, linewidth=1.3, solid_capstyle="butt")
                axis.plot(
                    it["difference"] * measure.scale, y, look.marker, color=look.colour,
                    markeredgecolor="white", markeredgewidth=0.5, markersize=5,
                )  # fmt: skip
    names = ["" if groups == [ALL] else group for group in groups]
    head_grid(axes, [labeled_text(text) for text in texts.values()], names)
    unit = "points" if measure.scale == 100 else measure.unit
    figure.suptitle(title, fontsize=8)
    figure.supxlabel(f"{measure.title}: second minus first ({unit})", fontsize=8)
    return figure
