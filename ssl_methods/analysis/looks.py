"""A declared look at an experiment: what is decided at one budget on so many subsets.

In: ``cases.csv`` of the runs up to the look. Out: ``looks/labeled-<budget>_subsets-<n>.json``, by
which the workflow stops or goes on. Nothing is judged between looks, so that looking again and
again decides no more often than it should.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ssl_methods.analysis.collect import cases_of_runs
from ssl_methods.analysis.comparisons import compare, of_pair
from ssl_methods.analysis.design import design_of
from ssl_methods.analysis.families import counted
from ssl_methods.config import Experiment, budget_text, digest
from ssl_methods.data.compared import look_file, read_compared, runs_of_look
from ssl_methods.errors import UserError
from ssl_methods.files import write_json

DECIDED = ("better", "worse", "equivalent", "not_worse")


def look(experiment: Experiment, budget: int | float, subsets: int, results: Path) -> Path:
    """Judge every row that is looked at on ``subsets`` subsets; returns the file written.

    Raises UserError if the experiment declares no such look, or a run of it is not measured yet.
    """
    looks = experiment.budget_looks(budget)
    if subsets not in looks:
        raise UserError(
            f"{experiment.name}: no look at {subsets} subsets of {budget_text(budget)} labels is "
            f"declared; declared: {', '.join(map(str, looks))}"
        )
    runs = runs_of_look(experiment, budget, subsets, results)
    cases = cases_of_runs(experiment, results, runs)
    comparisons = compare(cases, design_of(experiment, read_compared(experiment, results)))
    told = of_pair(comparisons, "baseline")
    told = told[(told["metric"] == experiment.primary) & (told["role"] == "method")]
    told = told[told["looked_at"] == subsets]
    path = look_file(experiment, budget, subsets, results)
    write_json(path, _record(told, budget, subsets) | {"rests_on": rests_on(experiment)})
    return path


def rests_on(experiment: Experiment) -> str:
    """A digest of the settings that a look depends on."""
    return digest(experiment.model_dump(mode="json"))


def _record(told: pd.DataFrame, budget: int | float, subsets: int) -> dict[str, Any]:
    verdicts = dict(zip(told["method"], told["verdict"], strict=True))
    undecided = told[~told["verdict"].isin(DECIDED)]
    return {
        "budget": budget,
        "subsets": subsets,
        "decided": undecided.empty,
        "verdicts": verdicts,
        "missing": dict(zip(undecided["method"], undecided["missing"], strict=True)),
    }


def said(record: dict[str, Any]) -> str:
    """One line for the console."""
    head = f"{record['budget']} labels, {counted(record['subsets'], 'subset')}"
    if record["decided"]:
        return f"{head}: every comparison is decided"
    names = ", ".join(f"{name} ({what})" for name, what in record["missing"].items())
    return f"{head}: undecided: {names}"
