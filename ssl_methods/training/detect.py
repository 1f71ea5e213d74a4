"""What `plan --detect` says: which differences an experiment can tell, and what one takes."""

from __future__ import annotations

from pathlib import Path

from ssl_methods.analysis.detection import detection, lines, of_reference, of_tables
from ssl_methods.analysis.table_files import read_table
from ssl_methods.config import Experiment, budget_text
from ssl_methods.data.splits import split_of
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.measures import of
from ssl_methods.training.plan import plan


def detect(
    experiment: Experiment, results: Path, wanted: float, like: Path | None = None
) -> list[str]:
    """Lines for each budget, with the hours that more subsets would take.

    Args:
        wanted: a difference in the unit of the margin.
        like: the results of an experiment whose spread is taken; None: of this one.

    Raises UserError if the data are not prepared, or ``like`` has no comparisons.
    """
    folder = like or results / experiment.name
    table = folder / "tables" / "comparisons.csv"
    if like is not None and not table.is_file():
        raise UserError(f"{table}: is not there; run 'collect' for that experiment first")
    known = of_tables(folder, read_table(table), experiment.primary) if table.is_file() else {}
    store_at = store_folder(experiment.dataset, results)
    if not (store_at / "manifest.json").is_file():
        raise UserError(f"{store_at}: is not prepared; run 'prepare' first")
    store = Store.open(store_at)
    measure = of(experiment.primary)
    unit = " points" if measure.scale == 100 else f" {measure.unit}"
    hours = _hours_of_a_subset(experiment, results)
    said = []
    for budget in experiment.budgets:
        split = split_of(experiment, store, budget, 0)
        cases = len(split.test)
        if experiment.test == "rotated":  # in the end each labeled case is one
            training = (*split.labeled, *split.unlabeled)
            cases += sum(store.cases[case].labeled for case in training)
        text = budget_text(budget)
        spread = known.get(text) or of_reference(len(split.labeled), cases)
        there = experiment.budget_looks(budget)[-1]
        said += lines(detection(text, spread, wanted), wanted, unit, there, hours)
    return said


def _hours_of_a_subset(experiment: Experiment, results: Path) -> float | None:
    """What training every row once takes; None if the speed of one is not known."""
    costs = plan(experiment, results)
    if not costs or any(row.seconds is None for row in costs):
        return None
    return sum(row.iterations * (row.seconds or 0.0) for row in costs) / 3600
