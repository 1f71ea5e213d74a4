"""How often each method has each rank, as a heat map."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.names import label
from ssl_methods.analysis.tables import overall
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.panels import ROW, budgets, heat_map, labeled_text
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, SINGLE

NUMBERED = 12  # of so many methods or fewer, the shares are written into the cells


class RankFrequencies(Drawing):
    place = 12
    section = "ranks"
    folded = True
    caption = (
        "How often each method has each rank by mean Dice when labeled subsets and test cases are "
        "resampled, in %. Methods in the order of their means: where the order is certain, the "
        "diagonal is dark."
    )

    def draw(self, found: Results) -> Figure:
        return rank_frequencies(found.table("ranks"), budgets(found.summary))


def rank_frequencies(ranks: pd.DataFrame, texts: Mapping[str, str]) -> Figure:
    """A panel per budget; rows are methods from the first to the last, columns are ranks.

    Args:
        ranks: ``ranks.csv``, of several classes with the mean over them.
        texts: each budget as figures write it, see ``panels.budgets``.
    """
    ranks = overall(ranks) if len(ranks) else ranks
    if ranks.empty:
        raise NothingToShow("fewer than two methods have runs to rank")
    panels = [own for _, own in ranks.groupby("budget", sort=False)]
    numbered = max(map(len, panels)) <= NUMBERED
    tall = [(0.2 if numbered else ROW) * len(own) + 0.4 for own in panels]
    figure = Figure(figsize=(SINGLE if numbered else DOUBLE, 0.5 + sum(tall)))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=tall)[:, 0]
    for axis, own in zip(axes, panels, strict=True):
        own = own.sort_values("rank", kind="stable")
        shares = own[[f"rank_{i + 1}" for i in range(len(own))]].to_numpy(float) * 100
        heat_map(
            axis, shares, [label(it) for it in own["method"]], range(1, len(own) + 1),
            vmin=0, vmax=100, cmap="Blues", cbar=False, linewidths=0.5, annot=numbered, fmt=".0f",
        )  # fmt: skip
        axis.set_title(labeled_text(texts[own["budget"].iloc[0]]))
        axis.tick_params(labelrotation=0)
    axes[-1].set_xlabel("rank")
    if not numbered:
        bar = {"label": "of the resamples (%)", "shrink": 0.6}
        figure.colorbar(axes[0].collections[0], ax=list(axes), **bar)
    return figure
