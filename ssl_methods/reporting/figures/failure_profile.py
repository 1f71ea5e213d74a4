"""Performance profile: the share of all measurements that reach a Dice, for each method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.comparisons import judged_class
from ssl_methods.analysis.names import label
from ssl_methods.analysis.tables import roles
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.looks import DASHES, looks, methods_of
from ssl_methods.reporting.panels import budgets, columns_of, grid, labeled_text
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, SINGLE


class FailureProfile(Drawing):
    """Curves over subsets, seeds and test cases, as rliable draws them (Agarwal et al. 2021)."""

    place = 35
    folded = True
    caption = (
        "Share of measurements (labeled subset x seed x test case) whose Dice is at least the "
        "value below. A curve that starts lower than 100 % at the left has failures: cases in "
        "which next to nothing was found."
    )

    def draw(self, found: Results) -> Figure:
        return failure_profile(found.cases)


def failure_profile(cases: pd.DataFrame) -> Figure:
    """A panel for each budget, a step curve for each method. Controls are left out.

    Raises NothingToShow if no case has a Dice.
    """
    cases = cases[roles(cases) != "control"].dropna(subset=["dice"])
    if cases.empty:
        raise NothingToShow("no run has a case with any class")
    cases = cases[cases["class"] == judged_class(cases)]
    texts, kinds = budgets(cases), methods_of(cases)
    columns = columns_of(len(texts))
    figure = Figure(figsize=(SINGLE if columns == 1 else DOUBLE, 2.5 * -(-len(texts) // columns)))
    style = looks(kinds)
    for axis, (budget, text) in zip(
        grid(figure, len(texts), columns, sharex=True, sharey=True), texts.items(), strict=True
    ):
        for method, own in cases[cases["budget"] == budget].groupby("method", sort=False):
            values = np.sort(own["dice"].to_numpy(float)) * 100
            share = 100 * (1 - np.arange(len(values)) / len(values))
            look = style[str(method)]
            axis.step(
                [0, *values], [100, *share], where="pre", color=look.colour,
                linestyle=DASHES[kinds[str(method)]], linewidth=1.1, label=label(str(method)),
            )  # fmt: skip
        axis.set_title(labeled_text(text))
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 103)
    figure.supxlabel("Dice (%)", fontsize=8)
    figure.supylabel("measurements that reach it (%)", fontsize=8)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=6.5)
    return figure
