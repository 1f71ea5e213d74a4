"""In which order do the methods stand, and how often would each have its rank?"""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Question
from ssl_methods.analysis.ranks import RANKS_NOTE, ranks, shown_ranks


class Ranks(Question):
    title = "Ranks"
    place = 30
    kept = (".csv",)
    columns = {
        "budget": TEXT, "class": TEXT, "metric": TEXT, "method": TEXT, "recipe": TEXT,
        "methods": WHOLE, "runs": WHOLE, "subsets": WHOLE, "cases": WHOLE, "mean": NUMBER,
        "rank": WHOLE, "low": WHOLE, "high": WHOLE, "probability_first": NUMBER,
        "<rank>": NUMBER,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        return ranks(measured.cases, self.experiment.primary)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_ranks(table)

    def note(self, table: pd.DataFrame) -> str:
        return RANKS_NOTE
