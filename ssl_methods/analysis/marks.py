"""Which cells of the main table are best, and which methods are not told from the best."""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.tables import in_order, roles
from ssl_methods.measures import compared

NOTE = (
    "Bold: the best mean of a metric among the methods of a budget. \N{ALMOST EQUAL TO}: not worse "
    "than the best by their paired difference, or too little to tell (compared with the best)."
)

TIED = ("equivalent", "not_worse", "undecided")


def marks(summary: pd.DataFrame, primary: str) -> list[dict[str, str]]:
    """Marks for each row of ``shown_summary``: heading -> 'best' or 'tied'.

    Among the methods of one budget and class, where two or more have runs. Equal best means are all
    best; of the primary metric, those are tied that are judged beside the best and not worse. Upper
    bounds and controls have no part in it.
    """
    summary = in_order(summary, "labeled").reset_index(drop=True)
    found: list[dict[str, str]] = [{} for _ in range(len(summary))]
    methods = summary[roles(summary) == "method"]
    beside = summary["verdict_with_best"] if "verdict_with_best" in summary else pd.Series()
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
                elif metric == primary and beside.get(i) in TIED:
                    found[int(str(i))][measure.heading] = "tied"
    return found
