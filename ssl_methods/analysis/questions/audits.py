"""What do habits of the field do to the numbers, measured on the same runs?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_methods.analysis.audits import (
    NOTE,
    audit_table,
    audits_note,
    shown_audits,
    shown_audits_briefly,
)
from ssl_methods.analysis.measurements import cases_of, metric_columns
from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Part, Question


class Audits(Question):
    title = "Audits"
    place = 70
    kept = (".csv", ".md", ".tex")
    columns = {
        "audit": TEXT, "method": TEXT, "role": TEXT, "recipe": TEXT, "budget": TEXT,
        "labeled": WHOLE, "metric": TEXT, "reported_as": TEXT, "instead_as": TEXT,
        "reported": NUMBER, "instead": NUMBER, "difference": NUMBER, "low": NUMBER,
        "high": NUMBER, "verdict": TEXT, "runs": WHOLE, "subsets": WHOLE, "cases": WHOLE,
        "status": TEXT, "meaning": TEXT,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        experiment, rows = self.experiment, measured.rows
        others = (experiment.other_crop, experiment.other_precision)
        return audit_table(
            experiment,
            measured.root,
            measured.done,
            rows,
            metric_columns(rows),
            *(cases_of(other, measured.root) for other in others),
        )

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_audits(table)

    def note(self, table: pd.DataFrame) -> str:
        return audits_note(table)

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        """Each audit in a line, which says what it means; method by method folded."""
        if table.empty:
            return []
        brief = Part(shown_audits_briefly(table), wraps=True)
        folded = Part(self.shown(table), opened_by="Method by method", wraps=True)
        return [brief, folded, self.noted(table)._replace(note=NOTE)]
