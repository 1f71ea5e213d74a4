"""Do the paper's claims hold here? Each claim, and each of the parts that can be tested."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_methods.analysis.claims import claims_note, judge_claims, shown_claims
from ssl_methods.analysis.questions.base import NUMBER, TEXT, WHOLE, Measured, Part, Question


class Claims(Question):
    title = "The paper's claims"
    link = "Claims"
    place = 50
    columns = {
        "claim": WHOLE, "part": WHOLE, "text": TEXT, "source": TEXT, "method": TEXT,
        "against": TEXT, "budget": TEXT, "metric": TEXT,
        "effect": NUMBER, "low": NUMBER, "high": NUMBER,
        "p_value": NUMBER, "p_holm": NUMBER,
        "runs": WHOLE, "subsets": WHOLE, "cases": WHOLE, "finding": TEXT, "verdict": TEXT,
        "reason": TEXT,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        return judge_claims(measured.cases, measured.runs, self.experiment.margin)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_claims(table)

    def note(self, table: pd.DataFrame) -> str:
        return claims_note(table)

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        """The claims of which a part was run; their parts folded, and which were not, in words."""
        asked = table[table["verdict"] != "not run"]
        is_part = asked["part"].notna()
        if asked[~is_part].empty:
            return []
        whole = Part(self.shown(asked[~is_part]), sortable=False, wraps=True)
        parts = self.shown(asked[is_part])
        folded = Part(parts, opened_by="The parts of each claim", sortable=False, wraps=True)
        left = table[table["part"].isna() & (table["verdict"] == "not run")]
        numbers = ", ".join(f"{number:.0f}" for number in left["claim"])
        words = [Part(words=f"Not run in this experiment: {numbers}.")] if numbers else []
        return [whole, folded, *words, self.noted(table)]
