"""How training went: the loss and its terms, and the weight of the unlabeled term."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssl_methods.reporting.style import (
    DOUBLE,
    MANY,
    SINGLE,
    NothingToShow,
    budgets,
    grid,
    head_grid,
    label,
    labeled_text,
    looks,
    top_legend,
)
from ssl_methods.schedules import gaussian_warmup, stepwise_warmup

RUN = ["method", "budget", "labeled", "subset", "seed"]
NOT_CURVES = {*RUN, "iteration", "learning_rate"}


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, each of its terms and (if there is one) the validation Dice, over iterations.

    Of many methods each has a panel, at the smallest budget.

    Lines are means over the runs of a method, bands their range. Losses of single batches are
    noisy: a running mean over a twentieth of the run is drawn.

    Args:
        history: all ``history.csv`` below one another, with the columns method, budget, labeled,
            subset, seed.
    """
    if history.empty:
        raise NothingToShow("no run has a history.csv with rows")
    if history["method"].nunique() > MANY:
        return _a_panel_each(history)
    names = [name for name in history if name not in NOT_CURVES and not name.startswith("weight_")]
    curves = sorted(
        (name for name in names if history[name].notna().any()), key="validation_dice".__eq__
    )
    texts, style = budgets(history), looks(history["method"])
    figure = Figure(figsize=(DOUBLE if len(texts) > 1 else SINGLE, 0.6 + 1.35 * len(curves)))
    axes = figure.subplots(len(curves), len(texts), sharex=True, sharey="row", squeeze=False)
    for row, curve in zip(axes, curves, strict=True):
        for axis, budget in zip(row, texts, strict=True):
            for method, look in style.items():
                own = history[(history["method"] == method) & (history["budget"] == budget)]
                table = _over_runs(own, curve)
                if not table.empty:
                    axis.fill_between(
                        table.index,
                        table.min(axis=1),
                        table.max(axis=1),
                        color=look.colour,
                        alpha=0.15,
                        linewidth=0,
                    )
                    axis.plot(
                        table.index,
                        table.mean(axis=1),
                        color=look.colour,
                        linewidth=1.1,
                        label=label(method),
                    )
        if curve != "validation_dice":
            row[0].set_ylim(bottom=0)
    names = [
        curve.replace("_", " ") + " loss" * (curve not in ("loss", "validation_dice"))
        for curve in curves
    ]
    head_grid(axes, [labeled_text(text) for text in texts.values()], names)
    figure.supxlabel("iteration", fontsize=8)
    top_legend(figure)
    return figure


TERMS = {
    "loss": "#222222",
    "cross_entropy": "#56b4e9",
    "dice": "#0072b2",
    "level_set": "#009e73",
    "validation_dice": "#999999",
}
OTHER_TERMS = ("#d55e00", "#e69f00", "#cc79a7", "#b59f00")


def _a_panel_each(history: pd.DataFrame, columns: int = 4) -> Figure:
    """A panel per method: means over runs of its loss and terms; a term's name has one colour."""
    budget, text = next(iter(budgets(history).items()))
    history = history[history["budget"] == budget]
    methods = list(dict.fromkeys(history["method"]))
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(DOUBLE, 0.75 + 1.4 * rows))
    for axis, method in zip(grid(figure, len(methods), columns, sharex=True), methods, strict=True):
        own = history[history["method"] == method].dropna(axis="columns", how="all")
        names = [n for n in own if n not in NOT_CURVES and not n.startswith("weight_")]
        others = [name for name in names if name not in TERMS]
        for name in names:
            table = _over_runs(own, name)
            colour = TERMS.get(name) or OTHER_TERMS[others.index(name) % len(OTHER_TERMS)]
            of_its_own = {"label": name.replace("_", " ")} if name in others else {}
            axis.plot(table.index, table.mean(axis=1), color=colour, linewidth=1, **of_its_own)
        axis.set_title(label(method), pad=3)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=6.5)
        if others:
            axis.legend(
                loc="upper right", fontsize=6, handlelength=1, borderpad=0.1, labelspacing=0.2
            )
    shared = [name for name in TERMS if name in history and history[name].notna().any()]
    figure.legend(
        [Line2D([], [], color=TERMS[name]) for name in shared],
        [name.replace("_", " ") for name in shared],
        loc="outside upper center", ncols=len(shared),
    )  # fmt: skip
    figure.supxlabel(f"iteration ({labeled_text(text)})", fontsize=8)
    return figure


def _over_runs(history: pd.DataFrame, curve: str) -> pd.DataFrame:
    """(iterations, runs) of one curve, smoothed unless it is a validation."""
    known = history.dropna(subset=[curve])
    table = known.pivot(index="iteration", columns=["subset", "seed"], values=curve).sort_index()
    if curve == "validation_dice":
        return table
    return table.rolling(max(len(table) // 20, 1), min_periods=1, center=True).mean()


def lambda_warmup(history: pd.DataFrame) -> Figure:
    """The weight of the unlabeled term: formula, released steps, and what the runs really used.

    Each run's weight is divided by its largest, so that methods of different weights can be
    compared. Of many methods those with the same curve share their marks.
    """
    used = _ramped_weights(history)
    if used.empty:
        raise NothingToShow("no run has a term whose weight changes while it trains")
    style = looks(used["method"])
    many = len(style) > MANY
    figure = Figure(figsize=(DOUBLE if many else SINGLE, 4.0 if many else 3.0))
    axis = figure.subplots()
    t_max = float(history["iteration"].max())
    t = np.linspace(0, t_max, 801)
    axis.plot(
        t,
        [stepwise_warmup(x, t_max) for x in t],
        color="#b0b0b0",
        linewidth=1,
        label="released: 40 steps",
    )
    axis.plot(
        t,
        [gaussian_warmup(x, t_max) for x in t],
        color="black",
        linewidth=1,
        label="exp(-5 (1 - t/t_max)²)",
    )
    curves = {
        method: used[used["method"] == method]
        .groupby("iteration")["weight"]
        .agg(["mean", "min", "max"])
        for method in style
    }
    groups = _alike(curves) if many else [[method] for method in style]
    for place, group in enumerate(groups):
        own, look = curves[group[0]], style[group[0]]
        names = ", ".join(map(label, group))
        spaced = own.iloc[place :: max(len(own) // 12, 1)]
        axis.vlines(spaced.index, spaced["min"], spaced["max"], color=look.colour, linewidth=1)
        axis.plot(
            spaced.index,
            spaced["mean"],
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            label=textwrap.fill(f"used: {names}", 62, break_on_hyphens=False),
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    axis.set_xlabel("iteration t")
    axis.set_ylabel("weight / largest weight")
    if many:
        figure.legend(loc="outside lower center")
    else:
        axis.legend(loc="upper left")
    return figure


def _alike(curves: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Methods whose curves are equal, together."""
    groups: dict[str, list[str]] = {}
    for method, curve in curves.items():
        groups.setdefault(curve.round(4).to_csv(), []).append(method)
    return list(groups.values())


def _ramped_weights(history: pd.DataFrame) -> pd.DataFrame:
    """Method, iteration, weight / largest weight: of terms whose weight varies within a run."""
    found = []
    for column in [name for name in history if name.startswith("weight_")]:
        for (method, *_), run in history.dropna(subset=[column]).groupby(
            RUN, sort=False, dropna=False
        ):
            if run[column].nunique() > 1:
                found.append(
                    pd.DataFrame(
                        {
                            "method": method,
                            "iteration": run["iteration"] - 1,  # steps done before this one
                            "weight": run[column] / run[column].max(),
                        }
                    )
                )
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
