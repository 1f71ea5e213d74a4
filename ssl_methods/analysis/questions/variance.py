"""What is the spread of the measurements made of: labeled subset, seed, case, or the rest?"""

from __future__ import annotations

import pandas as pd

from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Question
from ssl_methods.analysis.variance import NOTE, PARTS, shown_variance, variance_parts


class Variance(Question):
    title = "What the spread is made of"
    link = "Spread"
    place = 40
    kept = (".csv",)
    columns = {
        "method": TEXT, "role": TEXT, "recipe": TEXT, "budget": TEXT, "labeled": WHOLE,
        "class": TEXT, "metric": TEXT, "runs": WHOLE, "subsets": WHOLE, "cases": WHOLE,
        "mean": NUMBER,
        **{f"{part}_variance": NUMBER for part in (*PARTS, "total")},
        **{f"{part}_share{end}": NUMBER for part in PARTS for end in ("", "_low", "_high")},
        "negative": TEXT, "not_known": TEXT,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        return variance_parts(measured.cases, self.experiment.primary)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_variance(table)

    def note(self, table: pd.DataFrame) -> str:
        return NOTE
