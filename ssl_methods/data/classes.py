"""From the values of a source's labels to the classes of the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase
from ssl_methods.data.importers import Source
from ssl_methods.errors import UserError


def to_classes(
    label: NDArray[Any], dataset: DatasetBase, classes: dict[int, str] | None
) -> NDArray[np.uint8]:
    """The source's label values as 0..K: 1 for all foreground, or 1..K in the order of the values.

    Raises UserError for values that are not whole, negative, or not declared.
    """
    values = np.unique(label)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise UserError(f"the label has values that are not whole numbers ({_some(values)})")
    known = None if classes is None else {0, *classes}
    unexpected = [value for value in values if value < 0 or (known and value not in known)]
    if unexpected:
        declared = f"; declared: {', '.join(map(str, sorted(known)))}" if known else ""
        raise UserError(f"the label has unexpected values ({_some(unexpected)}){declared}")
    if classes is None or dataset.classes == "merged":
        return (label > 0).astype(np.uint8)
    result = np.zeros(label.shape, dtype=np.uint8)
    for number, value in enumerate(sorted(classes), start=1):
        result[label == value] = number
    return result


def class_names(dataset: DatasetBase, source: Source) -> list[str]:
    """One name per class of the store."""
    names = [name for _, name in sorted((source.classes or {1: "foreground"}).items())]
    return names if dataset.classes == "separate" or len(names) == 1 else ["foreground"]


def _some(values: Iterable[Any]) -> str:
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown[:5] + ["..."] * (len(shown) > 5))
