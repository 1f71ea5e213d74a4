"""The weight of the unlabeled term while training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.names import label
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, MANY, SINGLE
from ssl_methods.schedules import gaussian_warmup, stepwise_warmup


class LambdaWarmup(Drawing):
    place = 70
    caption = (
        "Weight of the unlabeled term: the paper's formula, its released form in 40 steps, and "
        "what the runs recorded. Each run's weight is divided by its largest, so that methods of "
        "different weights can be compared."
    )

    def draw(self, found: Results) -> Figure:
        return lambda_warmup(found.history)


RUN = ["method", "budget", "labeled", "subset", "seed"]


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
