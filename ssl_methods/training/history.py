"""The history of a run: `history.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ssl_methods.files import write_text
from ssl_methods.training.checkpoint import Row


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """All rows; a column that a row lacks is left blank. No rows: nothing was trained."""
    first = ["iteration", "learning_rate", "loss"]
    columns = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    columns.sort(key=lambda name: name.startswith("weight_"))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
