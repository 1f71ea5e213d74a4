"""The table ``summary.csv``: the mean of each metric by method and budget of the declared grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from ssl_methods.analysis.jensen import row_ok
from ssl_methods.analysis.measurements import COUNTS, RUN_COLUMNS, metric_columns
from ssl_methods.analysis.run_files import COST_COLUMNS, COST_TEXTS
from ssl_methods.analysis.statistics import summarise
from ssl_methods.analysis.tables import by_class, counts
from ssl_methods.config import Run, budget_text

GROUP = ["method", "budget", "class"]
LEADING = [*RUN_COLUMNS[:7], "crop_used_label", "class", "runs_done", "runs_declared", *COUNTS]


def summary_table(
    declared: Iterable[Run], runs: pd.DataFrame, rows: pd.DataFrame, cases: pd.DataFrame
) -> pd.DataFrame:
    """One row per declared method and budget (and class); blank where no run is done.

    Args:
        declared: every run of the grid.
        runs: the table ``runs.csv``.
        rows: the table ``cases.csv``, all rows as they were measured.
        cases: those that enter a mean (``tables.with_class_mean``).
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
    return table[[*LEADING, *metrics, *COST_COLUMNS, "jensen_ok"]]
