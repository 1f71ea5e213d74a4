"""How training went: the loss and its terms, and the weight of the unlabeled term."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.reporting.style import (
    DOUBLE,
    SINGLE,
    NothingToShow,
    budgets,
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

    Lines are means over the runs of a method, bands their range. Losses of single batches are
    noisy: a running mean over a twentieth of the run is drawn.

    Args:
        history: all ``history.csv`` below one another, with the columns method, budget, labeled,
            subset, seed.
    """
    if history.empty:
        raise NothingToShow("no run has a history.csv")
    names = [name for name in history if name not in NOT_CURVES and not name.startswith("weight_")]
    curves = sorted(
        (name for name in names if history[name].notna().any()), key="validation_dice".__eq__
    )
    texts, style = budgets(history), looks(history["method"])
    figure = Figure(figsize=(DOUBLE if len(texts) > 1 else SINGLE * 1.35, 0.6 + 1.35 * len(curves)))
    axes = figure.subplots(len(curves), len(texts), sharex=True, sharey="row", squeeze=False)
    for row, curve in zip(axes, curves, strict=True):
        for axis, (budget, text) in zip(row, texts.items(), strict=True):
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
            if curve == curves[0]:
                axis.set_title(labeled_text(text))
        is_term = curve not in ("loss", "validation_dice")
        row[0].set_ylabel(curve.replace("_", " ") + " loss" * is_term)
        if curve != "validation_dice":
            row[0].set_ylim(bottom=0)
    figure.supxlabel("iteration", fontsize=8)
    top_legend(figure)
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
    compared.
    """
    used = _ramped_weights(history)
    if used.empty:
        raise NothingToShow("no run has a term whose weight changes while it trains")
    figure = Figure(figsize=(SINGLE * 1.35, 3.0))
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
        label=r"$\exp(-5\,(1 - t/t_{\max})^2)$",
    )
    style = looks(used["method"])
    for place, (method, look) in enumerate(style.items()):
        own = (
            used[used["method"] == method]
            .groupby("iteration")["weight"]
            .agg(["mean", "min", "max"])
        )
        spaced = own.iloc[place :: max(len(own) // 12, 1)]
        axis.vlines(spaced.index, spaced["min"], spaced["max"], color=look.colour, linewidth=1)
        axis.plot(
            spaced.index,
            spaced["mean"],
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            label=f"used: {label(method)}",
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    axis.set_xlabel("iteration t")
    axis.set_ylabel("weight / largest weight")
    axis.legend(loc="upper left")
    return figure


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
