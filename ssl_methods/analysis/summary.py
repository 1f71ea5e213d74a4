"""The table ``summary.csv``: each method and budget of the declared grid in one row.

The mean of each metric, the difference from the baseline with its verdict, counts and costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from ssl_methods.analysis.comparisons import of_pair
from ssl_methods.analysis.jensen import row_ok
from ssl_methods.analysis.measurements import COUNTS, RUN_COLUMNS, metric_columns
from ssl_methods.analysis.run_files import COST_COLUMNS, COST_TEXTS
from ssl_methods.analysis.statistics import summarise
from ssl_methods.analysis.tables import by_class, counts
from ssl_methods.config import Run, budget_text

GROUP = ["method", "budget", "class"]
OF_BASELINE = {
    "difference": "difference", "low": "difference_low", "high": "difference_high",
    "verdict": "verdict", "subsets_won": "subsets_won", "subsets": "subsets_compared",
}  # fmt: skip
OF_BEST = {"verdict": "verdict_with_best"}
"""Column of ``comparisons.csv`` -> of ``summary.csv``."""

LEADING = [*RUN_COLUMNS[:7], "crop_used_label", "class", "runs_done", "runs_declared", *COUNTS]


def summary_table(
    declared: Iterable[Run],
    runs: pd.DataFrame,
    rows: pd.DataFrame,
    cases: pd.DataFrame,
    comparisons: pd.DataFrame,
    primary: str,
) -> pd.DataFrame:
    """One row per declared method and budget (and class); blank where no run is done.

    Args:
        declared: every run of the grid.
        runs: the table ``runs.csv``.
        rows: the table ``cases.csv``, all rows as they were measured.
        cases: those that enter a mean (``tables.with_class_mean``).
        comparisons: the table ``comparisons.csv``, of which the rows of the ``primary`` metric are
            taken: the difference from the baseline, and the verdict beside the best.
    """
    grid, own_rows = [], dict(tuple(rows.groupby(["method", "budget"], sort=False)))
    count = Counter((run.name, budget_text(run.budget)) for run in declared)
    for (method, budget), group in runs.groupby(["method", "budget"], sort=False):
        first, done = group.iloc[0], group[group["status"] == "done"]
        measured = by_class(own_rows[method, budget]) if (method, budget) in own_rows else {}
        same = {name: first[name] for name in ("dataset", "method", "role", "recipe", "budget")}
        same |= {
            name: group[name].dropna().iloc[0] if group[name].notna().any() else None
            for name in ("labeled", "unlabeled")
        }
        same |= {"crop_used_label": first["crop_used_label"]}
        for klass in by_class(rows):
            own = done[done["class"] == klass]
            row = same | {"class": klass, "runs_done": len(own)}
            row |= {"runs_declared": count[method, budget]}
            row |= counts(measured[klass]) if klass in measured else dict.fromkeys(COUNTS)
            for name in COST_COLUMNS:
                row[name] = (
                    ", ".join(sorted(set(own[name].dropna().astype(str))))
                    if name in COST_TEXTS
                    else pd.to_numeric(own[name]).mean(skipna=False)
                )
            grid.append(row)
    statistics = summarise(cases, metric_columns(rows))
    table = pd.DataFrame(grid).merge(statistics, on=GROUP, how="left")
    table["jensen_ok"] = [row_ok(row) for row in table.to_dict("records")]
    metrics = [name for name in statistics if name not in GROUP]
    judged = comparisons[comparisons["metric"] == primary]
    table = table.merge(_compared(of_pair(judged, "baseline"), OF_BASELINE), "left", GROUP)
    table = table.merge(_compared(of_pair(judged, "best"), OF_BEST), "left", GROUP)
    return table[
        [*LEADING, *metrics, *COST_COLUMNS, "jensen_ok", *OF_BASELINE.values(), *OF_BEST.values()]
    ]


def _compared(rows: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    return rows[[*GROUP, *columns]].rename(columns=columns)
