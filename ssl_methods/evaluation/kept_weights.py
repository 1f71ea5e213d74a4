"""The weights kept while a run trained, on validation and test cases: ``snapshots.csv``.

In: ``snapshots.pt`` beside the run's model. Out: one row per kept iteration, test case and class,
the last iteration included. No choice is made here: which iteration a rule would take, and what it
gains by that, is a matter of the analysis (``analysis/audits.py``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ssl_methods.errors import UserError
from ssl_methods.measures import OF_PAPERS
from ssl_methods.methods.base import Method
from ssl_methods.weights import Damaged, load_into, load_sealed

COLUMNS = ("iteration", "validation_dice", "case", "class", *OF_PAPERS)

Row = dict[str, Any]


def snapshot_rows(
    method: Method,
    path: Path | None,
    last: int,
    validate: Callable[[Method], float] | None,
    measure: Callable[[Method], Sequence[Row]],
) -> Iterator[Row]:
    """The rows of ``snapshots.csv``, in the order of iterations.

    Args:
        method: as trained to the end; it is left with these weights.
        path: ``snapshots.pt``; None for a method that is not trained.
        last: the last iteration, whose weights the method holds.
        validate: mean Dice over the validation cases, 0..1; None if the run has none.
        measure: the rows of ``cases.csv``.

    Raises UserError if the file is absent or broken.
    """
    final = {name: value.clone() for name, value in method.state_dict().items()}
    for iteration, weights in [*(read_weights(path) if path else []), (last, final)]:
        load_into(method, weights, path or Path())
        validation = "" if validate is None else validate(method)
        for row in measure(method):
            kept = {name: row[name] for name in COLUMNS[2:]}
            yield {"iteration": iteration, "validation_dice": validation} | kept


def read_weights(path: Path) -> list[tuple[int, dict[str, torch.Tensor]]]:
    """Iterations and state dicts, read when they are used."""
    if not path.is_file():
        raise UserError(f"{path}: is missing; train again, or set training.snapshots to 0")
    try:
        return sorted(load_sealed(path, mmap=True, unsealed=True)["weights"].items())
    except Damaged as error:
        raise UserError(f"{error}; train again, or set training.snapshots to 0") from None
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: holds no snapshots; train again") from None


def as_csv(rows: Iterator[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
