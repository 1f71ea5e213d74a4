"""Whether methods stand in the same order by another metric, or with more labels: heat maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.tables import overall
from ssl_methods.measures import of
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.panels import budgets, grid, heat_map, labeled_text
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, SINGLE


class Agreement(Drawing):
    place = 14
    section = "ranks"
    folded = True
    caption = (
        "Kendall's tau-b of two orders of the methods: 1 for the same order, -1 for the reverse. "
        "First by two metrics at each budget, then at two budgets by each metric."
    )

    def draw(self, found: Results) -> Figure:
        return agreement(found.table("agreement"), budgets(found.summary))


class Square(NamedTuple):
    """One panel: what is compared with what, and tau of each pair."""

    title: str
    names: list[str]
    tau: np.ndarray


def agreement(table: pd.DataFrame, texts: Mapping[str, str]) -> Figure:
    """A panel per budget, metric by metric; then one per metric, budget by budget.

    Args:
        table: ``agreement.csv``, of several classes with the mean over them.
        texts: each budget as figures write it, see ``panels.budgets``.
    """
    table = overall(table) if len(table) else table
    if table.empty:
        raise NothingToShow("fewer than two methods have runs to rank")
    metrics, between = table["between"] == "metrics", table["between"] == "budgets"
    squares = [
        *(
            square(own, labeled_text(texts.get(budget, budget)), lambda name: of(name).title)
            for budget, own in table[metrics].groupby("budget", sort=False)
        ),
        *(
            square(own, of(metric).title, lambda budget: texts.get(budget, budget))
            for metric, own in table[between].groupby("metric", sort=False)
        ),
    ]
    columns = min(len(squares), 4)
    width = DOUBLE if columns > 2 else SINGLE
    figure = Figure(figsize=(width, 0.3 + 1.75 * -(-len(squares) // columns)))
    for axis, (title, names, tau) in zip(grid(figure, len(squares), columns), squares, strict=True):
        heat_map(
            axis, tau, names, names, mask=np.isnan(tau), vmin=-1, vmax=1, cmap="RdBu", cbar=False,
            square=True, fmt=".1f", linewidths=0.5,
        )  # fmt: skip
        axis.set_title(title)
    return figure


def square(table: pd.DataFrame, title: str, said: Callable[[str], str]) -> Square:
    """Both halves of the table's pairs, 1 on the diagonal; NaN where a pair has no tau."""
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    tau = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(tau, 1.0)
    for _, row in table.iterrows():
        i, j = names.index(row["first"]), names.index(row["second"])
        tau[i, j] = tau[j, i] = row["tau"]
    return Square(title, [said(name) for name in names], tau)
