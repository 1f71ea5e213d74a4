"""What do others print, and how do our runs stand to it?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_methods.analysis.published import published_note, published_table, shown_published
from ssl_methods.analysis.questions.base import FLAG, NUMBER, TEXT, WHOLE, Measured, Part, Question

NOT_COMPARABLE = (
    "No published result was obtained as those of this experiment were: none can be compared with "
    "them."
)


class Published(Question):
    title = "Published results"
    link = "Published"
    place = 60
    columns = {
        "title": TEXT, "method": TEXT, "mark": TEXT, "citation": TEXT, "place": TEXT,
        "labeled": WHOLE, "unlabeled": WHOLE, "jensen_ok": FLAG, "train_hours": NUMBER,
        "parameters_m": NUMBER, "iterations": WHOLE, "checkpoint": TEXT, "post_processing": TEXT,
        "split": TEXT, "unknown": TEXT, "note": TEXT, "run": TEXT, "recipe": TEXT, "budget": TEXT,
        "metric": TEXT, "published": NUMBER, "ours": NUMBER, "low": NUMBER, "high": NUMBER,
        "difference": NUMBER, "verdict": TEXT,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        return published_table(self.experiment, measured.table("summary"))

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_published(table)

    def note(self, table: pd.DataFrame) -> str:
        return published_note(table)

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        """Folded where nothing can be compared."""
        if table.empty:
            return []
        part = Part(self.shown(table), wraps=True)
        if not table["verdict"].str.startswith("not comparable").all():
            return [part, self.noted(table)]
        folded = part._replace(opened_by="What is published, and what differs")
        return [Part(words=NOT_COMPARABLE), folded, self.noted(table)]
