"""Is a method better than the baseline, and than the best: paired differences with verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_methods.analysis.comparisons import compare, comparison_note, of_pair
from ssl_methods.analysis.design import design_of
from ssl_methods.analysis.names import label
from ssl_methods.analysis.questions.base import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE,
    Measured,
    Part,
    Question,
    Read,
)
from ssl_methods.analysis.shown import shown_comparisons
from ssl_methods.config import Experiment
from ssl_methods.measures import of

PAIRS = {"comparisons": "baseline", "comparisons_with_best": "best"}


class Comparisons(Question):
    link = "Comparisons"
    place = 20
    columns = {
        "pair": TEXT, "method": TEXT, "role": TEXT, "recipe": TEXT, "baseline": TEXT,
        "budget": TEXT, "labeled": WHOLE, "class": TEXT, "metric": TEXT,
        "runs": WHOLE, "subsets": WHOLE, "cases": WHOLE,
        "difference": NUMBER, "low": NUMBER, "high": NUMBER, "p_value": NUMBER, "p_holm": NUMBER,
        "sd_subset": NUMBER, "error_subset": NUMBER, "error_case": NUMBER,
        "subsets_won": WHOLE, "cases_won": WHOLE, "prior": FLAG, "phases": WHOLE,
        "looked_at": WHOLE, "verdict": TEXT, "missing": TEXT,
    }  # fmt: skip

    def __init__(self, name: str, experiment: Experiment) -> None:
        super().__init__(name, experiment)
        self.title = f"Compared with {label(experiment.baseline)}"

    def answer(self, measured: Measured) -> pd.DataFrame:
        return compare(measured.cases, measured.design)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_comparisons(table)

    def note(self, table: pd.DataFrame) -> str:
        return comparison_note(table, design_of(self.experiment, {}))

    def read(self, table: pd.DataFrame) -> dict[str, Read]:
        pairs = {name: of_pair(table, pair) for name, pair in PAIRS.items()}
        return {name: Read(self.shown(rows), self.note(rows)) for name, rows in pairs.items()}

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        """What is judged, then the other metrics and the best, folded; the note says also why there
        is no comparison."""
        rows, best = (of_pair(table, pair) for pair in PAIRS.values())
        judged = rows["metric"] == self.experiment.primary
        parts = [self.noted(rows)]
        if judged.any():
            others = rows[~judged]
            titles = ", ".join(of(name).title for name in others["metric"].unique())
            others = Part(self.shown(others), opened_by=titles)
            parts = [Part(self.shown(rows[judged])), others, *parts]
        if not best.empty:
            file = "tables/comparisons_with_best.md, .tex"
            opened_by = "Compared with the best"
            parts.append(Part(self.shown(best), self.note(best), file, opened_by))
        return parts
