"""Figures of a study, from its tables: maps, slices, importances, history, tuned against default.

Each function takes the tables of ``answers.py``; ``draw`` writes all that have something to show,
as PDF and PNG.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_methods.analysis.names import label
from ssl_methods.reporting.figures.base import NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import top_legend
from ssl_methods.reporting.style import DOUBLE, RC, SINGLE, VERMILION, save
from ssl_methods.tuning.maps import map_figure, slices_figure, title
from ssl_methods.tuning.space import Space


def draw(
    folder: Path,
    tables: dict[str, pd.DataFrame],
    spaces: dict[str, Space],
) -> list[str]:
    """Write every figure that has something to show; their names."""
    trials, runs = tables["trials"], tables["runs"]
    wanted: dict[str, Callable[[], Figure]] = {}
    for row in spaces:
        own, its_runs = trials[trials["method"] == row], runs[runs["method"] == row]
        if (own["state"] == "complete").sum() == 0:
            continue
        wanted[f"map_{row}"] = partial(map_figure, own, spaces[row], row)
        wanted[f"slices_{row}"] = partial(slices_figure, own, its_runs, spaces[row], row)
    if "variance" in tables:  # of a grid, whose trials have no order
        wanted["variance"] = partial(variance_figure, tables["variance"])
    else:
        wanted["history"] = partial(history_figure, trials)
        wanted["importances"] = partial(importances_figure, tables["importances"])
        wanted["tuned_against_default"] = partial(tuned_figure, tables["tuned"])
    drawn = []
    for name, make in wanted.items():
        try:
            with mpl.rc_context(RC):
                figure = make()
        except NothingToShow:
            continue
        save(figure, folder, name)
        drawn.append(name)
    return drawn


def history_figure(trials: pd.DataFrame) -> Figure:
    """Validation Dice of each trial in order, the best so far, and the default's level."""
    methods = list(trials["method"].unique())
    figure = Figure(figsize=(min(DOUBLE, max(SINGLE, 2.6 * len(methods))), 2.5))
    axes = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
    style = looks(methods)
    for axis, method in zip(axes, methods, strict=True):
        own = trials[trials["method"] == method].sort_values("trial")
        done = own[own["state"] == "complete"]
        colour = style[method].colour
        axis.plot(done["trial"], done["validation_dice"] * 100, ".", color=colour, label="trial")
        best = done["validation_dice"].cummax() * 100
        axis.step(done["trial"], best, where="post", color=colour, linewidth=1, label="best so far")
        default = done[done["default"].astype(bool)]
        if len(default):
            level = float(default["validation_dice"].iloc[0]) * 100
            axis.axhline(level, color="#444444", linestyle=":", linewidth=0.9, label="default")
        foot = axis.get_xaxis_transform()
        for state, marker, colour in (("pruned", "|", "#888888"), ("failed", "x", VERMILION)):
            other = own[own["state"] == state]
            if len(other):
                at = np.full(len(other), 0.02)
                axis.plot(
                    other["trial"], at, marker, color=colour, transform=foot,
                    label=state, markersize=4,
                )  # fmt: skip
        axis.set_title(label(method))
        axis.set_xlabel("trial")
    top_legend(figure)
    axes[0].set_ylabel("validation Dice (%)")
    return figure


def importances_figure(importances: pd.DataFrame) -> Figure:
    """Which settings tell good trials from others, as shares of 1 (PED-ANOVA)."""
    if importances.empty:
        raise NothingToShow("too few completed trials")
    methods = list(importances["method"].unique())
    counts = [int((importances["method"] == method).sum()) for method in methods]
    figure = Figure(figsize=(SINGLE, 0.55 + 0.25 * sum(counts) + 0.35 * len(methods)))
    axes = figure.subplots(len(methods), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    for axis, method in zip(axes, methods, strict=True):
        own = importances[importances["method"] == method].sort_values("importance")
        axis.barh(
            [title(name) for name in own["setting"]],
            own["importance"],
            color=looks([method])[method].colour,
            height=0.6,
        )
        axis.set_title(label(method), loc="left")
        axis.set_xlim(0, 1)
        axis.grid(visible=False, axis="y")
    axes[-1].set_xlabel("importance (share)")
    return figure


def tuned_figure(tuned: pd.DataFrame) -> Figure:
    """Tuned minus default on fresh seeds: a dot per run, the mean and its 95 % interval."""
    if tuned.empty:
        raise NothingToShow("no search is finished")
    figure = Figure(figsize=(SINGLE * 1.2, 0.75 + 0.38 * len(tuned)))
    axis = figure.subplots()
    style = looks(list(tuned["method"]))
    for y, (_, row) in enumerate(tuned.iterrows()):
        look = style[row["method"]]
        dots = np.array(str(row["run_differences"]).split(), float) * 100
        axis.plot(dots, np.full(len(dots), y + 0.18), ".", color=look.colour, markersize=3)
        _interval(axis, y, row["difference"], row["low"], row["high"], look.colour, look.marker)
    axis.axvline(0, color="#444444", linewidth=0.7)
    axis.set_yticks(range(len(tuned)), [label(method) for method in tuned["method"]])
    axis.set_ylim(len(tuned) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("validation Dice, tuned minus default (points)")
    return figure


def variance_figure(variance: pd.DataFrame) -> Figure:
    """Shares of the variance of Dice over a grid, with 95 % intervals."""
    known = variance.dropna(subset=["share"])
    if known.empty:
        raise NothingToShow("the grid is not complete")
    methods = list(known["method"].unique())
    rows = known.groupby("method", sort=False).size().max()
    figure = Figure(figsize=(min(DOUBLE, SINGLE * len(methods)), 0.8 + 0.28 * rows))
    axes = figure.subplots(1, len(methods), squeeze=False, sharex=True)[0]
    for axis, method in zip(axes, methods, strict=True):
        own = known[known["method"] == method].reset_index(drop=True)
        colour = looks([method])[method].colour
        for y, row in own.iterrows():
            axis.barh(y, row["share"] * 100, color=colour, alpha=0.35, height=0.6)
            _interval(axis, y, row["share"], row["low"], row["high"], colour, "o")
        axis.set_yticks(range(len(own)), [title(name) for name in own["source"]])
        axis.set_ylim(len(own) - 0.5, -0.5)
        axis.set_xlim(0, 100)
        axis.set_title(label(method), loc="left")
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("share of the variance of Dice (%)")
    return figure


def _interval(
    axis: Axes, y: float, mean: float, low: float, high: float, colour: str, marker: str
) -> None:
    if np.isfinite(low):
        axis.plot([low * 100, high * 100], [y, y], color=colour, linewidth=1.2)
    axis.plot(mean * 100, y, marker, color=colour, markeredgecolor="white", markersize=5)
