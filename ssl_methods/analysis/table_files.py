"""Tables as CSV files: written whole, read as files that may be damaged or changed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, write_text

Kind = Literal["text", "whole", "number", "flag"]
"""What a column holds. What is not known is blank in each; a flag is True or False."""
TEXT: Kind = "text"
WHOLE: Kind = "whole"
NUMBER: Kind = "number"
FLAG: Kind = "flag"

COMMON: dict[str, Kind] = {
    **dict.fromkeys(
        (
            "dataset", "method", "role", "recipe", "budget", "case", "class", "patient", "device",
            "metric", "status", "verdict", "reason", "run", "finished",
        ),
        TEXT,
    ),
    **dict.fromkeys(
        (
            "labeled", "unlabeled", "parameters", "iterations", "runs", "subsets", "cases",
            "measurements", "failures", "absent", "false_positives",
        ),
        WHOLE,
    ),
}  # fmt: skip
"""The columns that mean the same in every table. Others have their kind with their table."""

SUMS = "SHA256SUMS"
"""Beside the tables: the checksum of each, as ``sha256sum --check`` reads them."""

LARGEST_TABLE = 512 << 20  # bytes


def read_table(path: Path, columns: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """A table with its names as text ('1.0' stays all labels, case '007' keeps its zeros).

    ``columns`` are those of the table beside the ``COMMON`` ones.
    Raises UserError if it is absent, no table, or not what ``SHA256SUMS`` beside it says.
    """
    _verify(path)
    text = {name for name, kind in (COMMON | dict(columns or {})).items() if kind == TEXT}
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is no file")
        if path.stat().st_size > LARGEST_TABLE:
            raise UserError(f"{path}: is larger than {LARGEST_TABLE >> 20} MiB, too large a table")
        with path.open(newline="", encoding="utf-8") as file:
            heading = next(csv.reader(file), [])
        frame = pd.read_csv(
            path,
            dtype={name: str for name in text if name in heading},
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN"] for name in heading if name not in text},
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is not a valid table ({' '.join(str(error).split())})") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise UserError(f"{path}: is not a valid table (rows are longer than the heading)")
    for name in frame.columns[[is_text(frame[name]) for name in frame]]:
        frame[name] = frame[name].map(_as_it_was, na_action="ignore")
    return frame


def _verify(path: Path) -> None:
    sums = path.parent / SUMS
    if not (sums.is_file() and path.is_file()):
        return
    with sums.open("rb") as file:
        lines = file.read(1 << 20).decode(errors="replace").splitlines()
    recorded = {name.strip(): digest for digest, _, name in (line.partition(" ") for line in lines)}
    if recorded.get(path.name, "") and file_sha256(path) != recorded[path.name]:
        raise UserError(f"{path}: is not as 'collect' wrote it; run 'collect' again")


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """The checksums of these tables, to be compared when one of them is read."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in sorted(names)]
    write_text(folder / SUMS, "".join(lines))


def write_table(path: Path, frame: pd.DataFrame, columns: Mapping[str, Kind] | None = None) -> None:
    """Write CSV with six significant digits; what is not known is blank, names are no formulas.

    ``columns`` are those of the table beside the ``COMMON`` ones.
    """
    kinds = COMMON | dict(columns or {})
    whole = {name: "Int64" for name, kind in kinds.items() if kind == WHOLE and name in frame}
    inert = {
        name: frame[name].map(no_formula, na_action="ignore")
        for name in frame
        if is_text(frame[name])
    }
    write_text(
        path,
        frame.assign(**inert)
        .astype(whole)
        .to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    )


def is_text(column: pd.Series) -> bool:
    """May a column hold text, alone or beside numbers?"""
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)


AS_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)

FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

QUOTED = re.compile("'" + FORMULA.pattern)


def no_formula(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, behind an apostrophe.

    These begin with = + - @ (also of full width), a tab or a line's end; numbers stay as they are.
    ``read_table`` takes the apostrophe away.
    """
    if isinstance(value, str) and FORMULA.match(value) and not AS_NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _as_it_was(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and QUOTED.match(value) else value
