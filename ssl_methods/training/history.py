"""What is seen of a run while it trains: history.csv, lines in the log, TensorBoard if it is
installed."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from ssl_methods.files import write_text
from ssl_methods.training.checkpoint import Row

log = logging.getLogger(__name__)


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


class Observer:
    """Says a line about every twentieth of the run."""

    def __init__(self, name: str, tensorboard: Path | None = None) -> None:
        self.name, self.told = name, -1
        self.writer = _tensorboard_writer(tensorboard) if tensorboard else None

    def see(self, row: Row, total: int) -> None:
        iteration = int(row["iteration"])
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, iteration)
        share = iteration * 20 // total
        if share > self.told:
            self.told = share
            terms = "  ".join(
                f"{key} {value:.4g}" for key, value in row.items() if key != "iteration"
            )
            log.info("%s  iteration %d of %d  %s", self.name, iteration, total, terms)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _tensorboard_writer(folder: Path):  # type: ignore[no-untyped-def]
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
