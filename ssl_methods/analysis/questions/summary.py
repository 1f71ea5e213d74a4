"""How good is each method: the mean of each metric with its interval, by method and budget."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_methods.analysis.jensen import jensen_note
from ssl_methods.analysis.latex import Marks
from ssl_methods.analysis.marks import NOTE as MARKS_NOTE
from ssl_methods.analysis.marks import marks
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
from ssl_methods.analysis.shown import (
    count_note,
    precision_note,
    role_note,
    shown_summary,
    time_note,
)
from ssl_methods.analysis.statistics import support_note
from ssl_methods.analysis.summary import summary_table

NOTE = (
    "Mean over labeled subsets and test cases with its 95 % interval over both (crossed "
    "components; of shares on the logit scale, of distances on the log scale; with fewer than five "
    "subsets it rests on a prior of how these vary too). Checkpoint: the last. Post-processing: "
    "none. An empty prediction counts as a failure, with the volume's diagonal as its distance. "
    "Difference: from the baseline, paired, of the metric that is judged; won: subsets on which "
    "the method is better. Intervals of the other metrics: summary.csv. Time: training of one run."
)


class Summary(Question):
    title = "Results"
    place = 10
    section = "results"
    columns = {
        "dataset": TEXT, "method": TEXT, "role": TEXT, "recipe": TEXT, "budget": TEXT,
        "labeled": WHOLE, "unlabeled": WHOLE, "crop_used_label": FLAG, "class": TEXT,
        "runs_done": WHOLE, "runs_declared": WHOLE, "cases": WHOLE, "measurements": WHOLE,
        "failures": WHOLE, "absent": WHOLE, "false_positives": WHOLE,
        "<metric>": NUMBER,
        "train_seconds": NUMBER, "wall_seconds": NUMBER, "seconds_per_iteration": NUMBER,
        "forward_passes_per_iteration": NUMBER, "parameters": WHOLE, "peak_memory_mb": NUMBER,
        "device": TEXT, "precision": TEXT, "least_precision": TEXT, "others_share": NUMBER,
        "finished": TEXT, "jensen_ok": FLAG,
        "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER, "verdict": TEXT,
        "subsets_won": WHOLE, "subsets_compared": WHOLE, "verdict_with_best": TEXT,
    }  # fmt: skip

    def answer(self, measured: Measured) -> pd.DataFrame:
        comparisons, primary = measured.table("comparisons"), self.experiment.primary
        measurements = measured.runs, measured.rows, measured.cases
        return summary_table(measured.declared, *measurements, comparisons, primary)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        return shown_summary(table, self.experiment.primary)

    def note(self, table: pd.DataFrame) -> str:
        known = table["cases"].dropna()
        few = support_note(len(self.experiment.subsets), int(known.min())) if len(known) else ""
        notes = [
            NOTE, count_note(table), few, time_note(table), precision_note(table), role_note(table)
        ]  # fmt: skip
        return " ".join(filter(None, notes))

    def read(self, table: pd.DataFrame) -> dict[str, Read]:
        return {self.name: Read(self.shown(table), self.note(table), self._marks(table))}

    def _marks(self, table: pd.DataFrame) -> Marks:
        return marks(table, self.experiment.primary)

    def page(self, table: pd.DataFrame) -> Sequence[Part]:
        marked = self._marks(table)
        said = [MARKS_NOTE if any(marked) else "", self.note(table), jensen_note(table)]
        note = self.noted(table)._replace(note=" ".join(said))
        return [Part(self.shown(table), marks=marked), note]
