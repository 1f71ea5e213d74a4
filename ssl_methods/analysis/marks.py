"""Which cells of the main table are best, and which the best's interval does not tell from it."""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.tables import in_order, roles
from ssl_methods.measures import compared

NOTE = (
    "Bold: the best mean of a metric among the methods of a budget. \N{ALMOST EQUAL TO}: a mean "
    "within the 95 % interval of the best; pairs are judged in the comparisons."
)


def marks(summary: pd.DataFrame) -> list[dict[str, str]]:
    """Marks for each row of ``shown_summary``: heading -> 'best' or 'tied'.

    Among the methods of one budget and class, where two or more have runs. Equal best means are all
    best. Upper bounds and controls have no part in it.
    """
    summary = in_order(summary, "labeled").reset_index(drop=True)
    found: list[dict[str, str]] = [{} for _ in range(len(summary))]
    methods = summary[roles(summary) == "method"]
    for _, group in methods.groupby(["budget", "class"], sort=False):
        for metric, measure in compared(summary).items():
            known = group.dropna(subset=[metric])
            if len(known) < 2:
                continue
            values = known[metric]
            best = known.loc[values.idxmax() if measure.higher_is_better else values.idxmin()]
            for i, value in values.items():
                if value == best[metric]:
                    found[int(str(i))][measure.heading] = "best"
                elif best[f"{metric}_low"] <= value <= best[f"{metric}_high"]:
                    found[int(str(i))][measure.heading] = "tied"
    return found
