"""What an experiment has produced: its tables, and the records of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_methods.analysis.collect import is_done, metric_columns, read_cases
from ssl_methods.analysis.comparisons import of_pair
from ssl_methods.analysis.tables import in_order, overall, read_table, with_class_mean
from ssl_methods.config import Experiment, Run, budget_text, read_yaml
from ssl_methods.data.store import Store, store_folder
from ssl_methods.files import read_json


class Results:
    """What an experiment has produced, read when it is asked for."""

    def __init__(self, experiment: Experiment, results: Path) -> None:
        self.experiment, self.root = experiment, results
        self.folder = results / experiment.name
        cases = read_cases(self.folder / "tables" / "cases.csv")
        self.measured = cases
        self.cases = in_order(with_class_mean(cases, metric_columns(cases)))
        self.runs = read_table(self.folder / "tables" / "runs.csv")
        self.summary = in_order(read_table(self.folder / "tables" / "summary.csv"))
        comparisons = read_table(self.folder / "tables" / "comparisons.csv")
        self.comparisons = of_pair(comparisons, "baseline")
        self.comparisons_with_best = of_pair(comparisons, "best")
        self.published = self.later_table("published")
        self.claims = self.later_table("claims")
        self.ranks = self.later_table("ranks")
        self.agreement = self.later_table("agreement")
        self.false_claims = self.later_table("false_claims")
        self.variance = self.later_table("variance")
        self.audits = self.later_table("audits")
        self.done = [run for run in experiment.runs() if is_done(run, results)]
        self._records: dict[str, list[tuple[Run, dict[str, Any]]]] = {}

    def later_table(self, name: str) -> pd.DataFrame:
        """A table that results of earlier versions lack; there it has no rows."""
        path = self.folder / "tables" / f"{name}.csv"
        return read_table(path) if path.is_file() else pd.DataFrame()

    def records(self, name: str) -> list[tuple[Run, dict[str, Any]]]:
        """``run.yaml`` or ``provenance.json`` of every run that has it; each file is read once."""
        if name not in self._records:
            read = read_json if name.endswith(".json") else read_yaml
            paths = [(run, self.root / run.folder / name) for run in self.done]
            self._records[name] = [(run, read(path)) for run, path in paths if path.is_file()]
        return self._records[name]

    def history(self) -> pd.DataFrame:
        """All ``history.csv`` below one another, each row with its run.

        In the order of the tables; a run that trained nothing has no rows.
        """
        order = list(dict.fromkeys(self.summary["method"]))
        labeled = self.runs.set_index("budget")["labeled"].dropna().to_dict()
        found = []
        for run in sorted(self.done, key=lambda run: order.index(run.name)):
            path = self.root / run.folder / "history.csv"
            if path.is_file() and not (rows := read_table(path)).empty:
                budget = budget_text(run.budget)
                identity = {
                    "method": run.name,
                    "budget": budget,
                    "labeled": labeled.get(budget),
                    "subset": run.subset,
                    "seed": run.seed,
                }
                found.append(rows.assign(**identity))
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame()

    def example(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Image (first channel) and label of the first test case with foreground, if prepared.

        Raises UserError if the prepared store is there and broken.
        """
        folder = store_folder(self.experiment.dataset, self.root)
        if not folder.exists():
            return None
        store = Store.open(folder)
        for case in [case for case in store.ids("test") if store.cases[case].labeled]:
            label = np.asarray(store.label(case))
            if label.any():
                return np.asarray(store.image(case)[0]), label
        return None

    def overlay_runs(self) -> list[Run]:
        """One run per method at the smallest budget, all of one subset and seed.

        Upper bounds first, controls last.
        """
        smallest = next(
            iter(overall(self.summary).dropna(subset=["dice"]).sort_values("labeled")["budget"]),
            None,
        )
        cells: dict[tuple[int, int], list[Run]] = {}
        for run in self.done:
            sliced = (self.root / run.folder / "slices.npz").is_file()
            if sliced and budget_text(run.budget) == smallest:
                cells.setdefault((run.subset, run.seed), []).append(run)
        order = list(dict.fromkeys(self.summary["method"]))
        chosen = max(cells.values(), key=len, default=[])
        return sorted(chosen, key=lambda run: order.index(run.name))
