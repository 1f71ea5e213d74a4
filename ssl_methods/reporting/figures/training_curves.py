"""The loss and its terms while training."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssl_methods.analysis.names import label
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import budgets, grid, head_grid, labeled_text, top_legend
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import (
    BLUE,
    DOUBLE,
    GREEN,
    MANY,
    OCHRE,
    ORANGE,
    PURPLE,
    SINGLE,
    SKY,
    VERMILION,
)


class TrainingCurves(Drawing):
    place = 60

    def caption_for(self, found: Results) -> str:
        if found.many:
            return (
                "Loss and its terms (before their weights) while training, with the fewest labels: "
                "means over runs, each a running mean over a twentieth of the run. Terms of a "
                "method's own are named in its panel. The other budgets: history.csv of each run."
            )
        return (
            "Loss and its terms (before their weights) while training: mean over runs and their "
            "range, each a running mean over a twentieth of the run. Validation Dice, where there "
            "is one, is not smoothed."
        )

    def draw(self, found: Results) -> Figure:
        return training_curves(found.history)


NOT_CURVES = {"method", "budget", "labeled", "subset", "seed", "iteration", "learning_rate"}


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
    "cross_entropy": SKY,
    "dice": BLUE,
    "level_set": GREEN,
    "validation_dice": "#999999",
}
OTHER_TERMS = (VERMILION, ORANGE, PURPLE, OCHRE)


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
