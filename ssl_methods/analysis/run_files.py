"""What runs leave behind, read as files that may be damaged: a reader for each kind of record.

Each raises UserError of one line: the file, what is wrong with it, what makes it anew. None reads
more than its kind can hold; of arrays the headers are looked at first. A file may still hold wrong
numbers that are possible: what was measured cannot be known from elsewhere.
"""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.tables import FLAGS, PATIENT
from ssl_methods.config import read_yaml
from ssl_methods.errors import UserError
from ssl_methods.files import read_text
from ssl_methods.measures import OF_PAPERS, of

MIB = 1 << 20
LARGEST_MB = {".json": 16.0, ".csv": 64.0}
LARGEST_ARRAY = 64 * MIB
MOST_ARRAYS = 100_000
DEEPEST = 30  # levels of a mapping

COST_COLUMNS = [
    "train_seconds", "wall_seconds", "seconds_per_iteration", "forward_passes_per_iteration",
    "parameters", "peak_memory_mb", "device", "precision", "least_precision", "others_share",
    "finished",
]  # fmt: skip
COST_TEXTS = ("device", "precision", "least_precision", "finished")
EVALUATE = "evaluate it again"
TRAIN = "train the run again"
NO_COST = "train the run again, or remove the file: the run is then missing"
DRAW = "draw the splits again"


# ---- mappings ------------------------------------------------------------------------------------


def read_cost(path: Path) -> dict[str, Any]:
    """``cost.json``: numbers that are not negative, or null; ``COST_TEXTS`` are text."""
    cost = _read_mapping(path, NO_COST)
    for name in COST_COLUMNS:
        value = cost.get(name)
        is_text = name in COST_TEXTS
        right = isinstance(value, str) if is_text else _is_amount(value)
        if value is not None and not right:
            kind = "text" if is_text else "a number that is not negative"
            raise UserError(f"{path}: {name} is not {kind}; {NO_COST}")
    return cost


def _is_amount(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < 1e15  # type: ignore[operator]


def read_provenance(path: Path) -> dict[str, Any]:
    """``provenance.json``; ``versions``, if it is there, holds a text for each name."""
    record = _read_mapping(path, f"{TRAIN} for another one")
    versions = record.get("versions", {})
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        raise UserError(f"{path}: versions are not a text for each name; {TRAIN}")
    return record


def read_run_record(path: Path) -> dict[str, Any]:
    """``run.yaml``; ``method_settings``, if it is there, is a mapping, and ``role`` a text."""
    record = read_yaml(path)
    _check_depth(record, path, TRAIN)
    if not isinstance(record.get("method_settings", {}), dict):
        raise UserError(f"{path}: method_settings are not 'key: value' lines; {TRAIN}")
    return record


def read_split(path: Path) -> dict[str, Any]:
    """A split's file: lists of cases under ``labeled``, ``unlabeled`` and ``test``."""
    split = _read_mapping(path, DRAW)
    for name in ("labeled", "unlabeled", "test"):
        cases = split.get(name)
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise UserError(f"{path}: {name} is no list of cases; {DRAW}")
    return split


def _read_mapping(path: Path, remedy: str) -> dict[str, Any]:
    try:
        data = json.loads(_text(path, remedy))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not valid JSON ({_line(error)}); {remedy}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: is no mapping of names to values; {remedy}")
    _check_depth(data, path, remedy)
    return data


def _check_depth(data: object, path: Path, remedy: str) -> None:
    """Level by level, not by recursion; a YAML alias is met again at each level that names it."""
    level: list[object] = [data]
    for _ in range(DEEPEST):
        parts = [part.values() if isinstance(part, dict) else part for part in level]
        level = [item for part in parts for item in part if isinstance(item, (dict, list))]  # type: ignore[attr-defined]
        if not level:
            return
        if len(level) > MOST_ARRAYS:
            break
    raise UserError(f"{path}: holds lists or mappings without end; {remedy}")


# ---- tables of a run -----------------------------------------------------------------------------


def read_cases_of_run(path: Path) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of a run's ``cases.csv``, as text that was checked.

    A measurement is a number that its metric can take, or blank; a flag is True, False, 1 or 0.
    """
    needed = ("case", "class", *OF_PAPERS, *FLAGS)
    heading, rows = _rows(path, needed, EVALUATE)
    for place, name in enumerate(heading):
        if name in ("case", "class", PATIENT):
            right: Callable[[str], bool] = _is_name
            kind = "a name in one line"
        elif name in FLAGS:
            right, kind = {"True", "False", "1", "0"}.__contains__, "True or False"
        else:
            right, kind = _within(*of(name).range), "a number that it can be"
        for line, row in enumerate(rows, start=2):
            if not right(row[place]):
                raise UserError(
                    f"{path}: line {line}, {name} is {row[place][:40]!r}, not {kind}; {EVALUATE}"
                )
    classes = {row[heading.index("class")] for row in rows}
    if "mean" in classes and len(classes) > 1:
        raise UserError(
            f"{path}: a class is called 'mean', which names the mean over classes; give it another "
            "name and prepare the data again"
        )
    return heading, rows


def _is_name(text: str) -> bool:
    return bool(text) and not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)


def _within(low: float, high: float) -> Callable[[str], bool]:
    def right(text: str) -> bool:
        value = _number(text)
        return value is not None and (math.isnan(value) or low <= value <= high)

    return right


def read_snapshots(path: Path) -> pd.DataFrame:
    """``snapshots.csv``: numbers, but for ``case`` and ``class``."""
    needed = ("iteration", "validation_dice", "case", "class", "dice")
    return _frame(path, needed, ("case", "class"), EVALUATE)


def read_history(path: Path) -> pd.DataFrame:
    """``history.csv``: numbers, with ``iteration`` whole."""
    frame = _frame(path, ("iteration",), (), TRAIN)
    iterations = frame["iteration"]
    if not ((iterations > 0) & (iterations < 1e12) & (iterations % 1 == 0)).all():
        raise UserError(f"{path}: iteration is not a whole number in every row; {TRAIN}")
    return frame.astype({"iteration": int})


def _frame(path: Path, needed: Sequence[str], text: Sequence[str], remedy: str) -> pd.DataFrame:
    heading, rows = _rows(path, needed, remedy)
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(heading):
        values: list[Any] = [row[place] for row in rows]
        if name not in text:
            numbers = [_number(value) for value in values]
            if None in numbers:
                line = numbers.index(None)
                raise UserError(
                    f"{path}: line {line + 2}, {name} is {values[line][:40]!r}, not a number; "
                    f"{remedy}"
                )
            values = numbers
        columns[name] = values
    return pd.DataFrame(columns)


def _number(text: str) -> float | None:
    """NaN for a blank; None for what is no number or not finite."""
    if text in ("", "nan", "NaN"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _rows(path: Path, needed: Sequence[str], remedy: str) -> tuple[list[str], list[list[str]]]:
    """The heading, without a name twice, and rows of its length."""
    try:
        heading, *rows = list(csv.reader(io.StringIO(_text(path, remedy), newline=""))) or [[]]
    except csv.Error as error:
        raise UserError(f"{path}: is not a valid table ({error}); {remedy}") from None
    if missing := [name for name in needed if name not in heading]:
        raise UserError(f"{path}: has no column '{missing[0]}'; {remedy}")
    if len(set(heading)) < len(heading):
        raise UserError(f"{path}: two columns have the same name; {remedy}")
    if any(len(row) != len(heading) for row in rows):
        raise UserError(f"{path}: a row is cut short or too long; {remedy}")
    return heading, rows


# ---- slices --------------------------------------------------------------------------------------


def cases_with_stacks(path: Path) -> list[str]:
    """The cases of a ``slices.npz`` of which it holds several slices, in its order."""
    with _Archive(path) as archive:
        names = [name for name in archive.sizes if name.endswith(".slices_image")]
    return [name.removesuffix(".slices_image") for name in names]


def cases_with_slices(path: Path) -> list[str]:
    """The cases of a ``slices.npz``, in its order."""
    with _Archive(path) as archive:
        names = [name for name in archive.sizes if name.endswith(".image")]
    return [name.removesuffix(".image") for name in names]


def read_slice(path: Path, case: str) -> tuple[NDArray, NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (x, y), finite; label and prediction, 0..255, of the same shape."""
    with _Archive(path) as archive:
        image = archive.image(f"{case}.image", 2)
        label, prediction = (
            archive.classes(f"{case}.{part}", image.shape) for part in ("label", "prediction")
        )
    return image, label, prediction


def read_stack(
    path: Path, case: str
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Positions (n,); image 0..255, label and prediction (n, x, y)."""
    with _Archive(path) as archive:
        image = archive.image(f"{case}.slices_image", 3)
        if image.dtype != np.uint8:
            raise archive.wrong(f"'{case}.slices_image' is {image.dtype}, not uint8")
        label, prediction = (
            archive.classes(f"{case}.slices_{part}", image.shape)
            for part in ("label", "prediction")
        )
        index = archive.array(f"{case}.slices_index")
        if index.shape != image.shape[:1] or index.dtype.kind not in "iu":
            raise archive.wrong(f"'{case}.slices_index' is not a position for each slice")
    return index.astype(np.int64), image, label, prediction


class _Archive:
    """A ``slices.npz`` that is open: its arrays by name, none larger than ``LARGEST_ARRAY``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise self.wrong("is no file")
        try:
            self._zip = zipfile.ZipFile(path)
            entries = self._zip.infolist()
        except Exception as error:  # whatever the library makes of a damaged directory
            raise self.wrong(f"is no archive ({_line(error)})") from None
        self.sizes = {it.filename.removesuffix(".npy"): it.file_size for it in entries}
        if len(self.sizes) > MOST_ARRAYS:
            raise self.wrong(f"holds {len(self.sizes)} arrays")

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def wrong(self, what: str) -> UserError:
        return UserError(f"{self.path}: {what}; {EVALUATE}")

    def array(self, name: str) -> NDArray:
        """Plain numbers, as many as its header says."""
        if name not in self.sizes:
            raise self.wrong(f"has no '{name}'")
        if self.sizes[name] > LARGEST_ARRAY:
            raise self.wrong(f"'{name}' would be {self.sizes[name] // MIB} MiB large")
        try:
            content = self._zip.read(f"{name}.npy")  # its checksum too
            file = io.BytesIO(content)
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, columns_first, dtype = read(file)
        except Exception as error:  # of the zip, of its compression, of the header
            raise self.wrong(f"'{name}' cannot be read ({_line(error)})") from None
        there = len(content) - file.tell()
        if dtype.kind not in "fiub":
            raise self.wrong(f"'{name}' holds no numbers")
        if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != there:
            raise self.wrong(f"'{name}' is not as large as its header says")
        flat = np.frombuffer(content, dtype, offset=file.tell())
        return flat.reshape(shape, order="F" if columns_first else "C")

    def image(self, name: str, axes: int) -> NDArray:
        image = self.array(name)
        if image.ndim != axes or not np.isfinite(image).all():
            raise self.wrong(f"'{name}' is no image of {axes} axes and finite values")
        return image

    def classes(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        found = self.array(name)
        if found.shape != shape or found.dtype.kind == "f":
            raise self.wrong(f"'{name}' is no label of the image's shape")
        if found.min() < 0 or found.max() > 255:
            raise self.wrong(f"'{name}' holds values that are no classes")
        return found.astype(np.uint8)


# ---- text ----------------------------------------------------------------------------------------


def _text(path: Path, remedy: str) -> str:
    try:
        return read_text(path, LARGEST_MB[path.suffix])
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from None


def _line(error: Exception) -> str:
    """What an exception says, in one line that is not long."""
    return " ".join(str(error).split())[:160] or type(error).__name__
