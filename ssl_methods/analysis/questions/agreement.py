"""Is the order the same by another metric, or with more labels?"""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Question
from ssl_methods.analysis.ranks import AGREEMENT_NOTE, agreement, shown_agreement


class Agreement(Question):
    title = "Is the order the same by another metric, or with more labels?"
    place = 31
    section = "ranks"
    kept = (".csv",)
    columns = {
        "between": TEXT, "class": TEXT, "budget": TEXT, "metric": TEXT, "first": TEXT,
        "second": TEXT, "methods": WHOLE, "tau": NUMBER,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        return agreement(measured.cases)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_agreement(table)

    def note(self, table: pd.DataFrame) -> str:
        return AGREEMENT_NOTE
