"""What an experiment has produced: its tables, and the records of its runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ssl_methods.analysis.comparisons import of_pair
from ssl_methods.analysis.design import design_of
from ssl_methods.analysis.measurements import is_done, metric_columns, read_cases
from ssl_methods.analysis.questions.registry import questions
from ssl_methods.analysis.run_files import (
    cases_with_stacks,
    read_history,
    read_provenance,
    read_run_record,
)
from ssl_methods.analysis.table_files import read_table
from ssl_methods.analysis.tables import CELL, in_order, overall, with_class_mean
from ssl_methods.config import Experiment, Run, budget_text
from ssl_methods.data.compared import read_compared, runs_of
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.reporting.style import MANY
from ssl_methods.shown import visible

logger = logging.getLogger(__name__)
Read = TypeVar("Read")


class Results:
    """What an experiment has produced, read when it is asked for.

    Without the tables of cases, runs and summary there is nothing to show: they raise UserError.
    Any other file that is damaged is left out, named in ``unread`` and in the log.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        self.experiment, self.root = experiment, results
        self.unread: list[str] = []
        self.folder = results / experiment.name
        cases = read_cases(self.folder / "tables" / "cases.csv")
        self.measured = cases
        self.cases = in_order(with_class_mean(cases, metric_columns(cases)))
        self.runs = read_table(self.folder / "tables" / "runs.csv")
        self.questions = questions(experiment)
        self.summary = in_order(self._read("summary"))
        self.tables: dict[str, pd.DataFrame] = {"summary": self.summary}
        self.comparisons = of_pair(self.table("comparisons"), "baseline")
        self.design = design_of(experiment, read_compared(experiment, results))
        self.done = [run for run in runs_of(experiment, results) if is_done(run, results)]
        self._records: dict[str, list[tuple[Run, dict[str, Any]]]] = {}

    def unless_damaged(self, read: Callable[..., Read], *given: Any, otherwise: Read) -> Read:
        """``read(*given)``, or what stands for it if its file is damaged."""
        try:
            return read(*given)
        except UserError as error:
            if str(error) not in self.unread:
                self.unread.append(str(error))
                logger.warning("left out: %s", visible(str(error)))
            return otherwise

    def table(self, name: str) -> pd.DataFrame:
        """The answer to a question; without rows where results of earlier versions lack it."""
        if name not in self.tables:
            none = pd.DataFrame(columns=[it for it in self.questions[name].columns if it[0] != "<"])
            there = (self.folder / "tables" / f"{name}.csv").is_file()
            self.tables[name] = (
                self.unless_damaged(self._read, name, otherwise=none) if there else none
            )
        return self.tables[name]

    def _read(self, name: str) -> pd.DataFrame:
        return read_table(self.folder / "tables" / f"{name}.csv", self.questions[name].columns)

    @property
    def many(self) -> bool:
        """Too many methods to be drawn over one another."""
        return bool(self.summary["method"].nunique() > MANY)

    def records(self, name: str) -> list[tuple[Run, dict[str, Any]]]:
        """``run.yaml`` or ``provenance.json`` of every run that has it; each file is read once."""
        if name not in self._records:
            read = {"run.yaml": read_run_record, "provenance.json": read_provenance}[name]
            self._records[name] = self._of_runs(name, read)
        return self._records[name]

    def _of_runs(self, name: str, read: Callable[[Path], Read]) -> list[tuple[Run, Read]]:
        """A file of every run that has it; a damaged one is left out."""
        paths = [(run, self.root / run.folder / name) for run in self.done]
        found = [
            (run, self.unless_damaged(read, path, otherwise=None))
            for run, path in paths
            if path.is_file()
        ]
        return [(run, record) for run, record in found if record is not None]

    @cached_property
    def history(self) -> pd.DataFrame:
        """All ``history.csv`` below one another, each row with its run.

        In the order of the tables; a run that trained nothing has no rows.
        """
        order = list(dict.fromkeys(self.summary["method"]))
        labeled = self.runs.set_index("budget")["labeled"].dropna().to_dict()
        found = []
        for run, rows in self._of_runs("history.csv", read_history):
            budget = budget_text(run.budget)
            identity = {
                "method": run.name,
                "budget": budget,
                "labeled": labeled.get(budget),
                "subset": run.subset,
                "seed": run.seed,
            }
            if not rows.empty:
                found.append(rows.assign(**identity))
        found.sort(key=lambda rows: order.index(rows["method"].iloc[0]))
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame()

    @cached_property
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

    @cached_property
    def dice_of_cases(self) -> dict[tuple[Any, ...], float]:
        """(method, budget, subset, seed, case) -> Dice, of several classes the mean."""
        dice: dict[tuple[Any, ...], float] = (
            overall(self.cases).set_index([*CELL, "case"])["dice"].to_dict()
        )
        return dice

    @cached_property
    def overlay_runs(self) -> list[Run]:
        """The run of each method, at the smallest budget, with the median of its runs' mean Dice.

        Of an even number it is the better of the middle two. Runs without ``slices.npz`` do not
        count. Upper bounds first, controls last.
        """
        measured = overall(self.cases)
        means = measured.groupby([*CELL], sort=False)["dice"].mean().dropna()
        budgets = measured.sort_values("labeled", kind="stable")["budget"]
        smallest = next(iter(budgets), None)
        of_method: dict[str, list[tuple[float, Run]]] = {}
        for run in self.done:
            cell = (run.name, budget_text(run.budget), run.subset, run.seed)
            if cell[1] == smallest and cell in means.index and self._has_slices(run):
                of_method.setdefault(run.name, []).append((means[cell], run))
        order = [name for name in dict.fromkeys(self.summary["method"]) if name in of_method]
        ranked = (sorted(of_method[name], key=lambda pair: pair[0]) for name in order)
        return [own[len(own) // 2][1] for own in ranked]

    def _has_slices(self, run: Run) -> bool:
        path = self.slices(run)
        if not path.is_file():
            return False
        return self.unless_damaged(cases_with_stacks, path, otherwise=None) is not None

    def slices(self, run: Run) -> Path:
        return self.root / run.folder / "slices.npz"
