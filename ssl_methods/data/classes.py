"""From the values of a source's labels to the classes of the store.

A class is one label value, or several that share a name; the manifest keeps which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase
from ssl_methods.errors import UserError

LARGEST_VALUE = 65_535  # of a label in the source
MOST_CLASSES = 255  # a prepared label is uint8, and 0 is background


def class_table(dataset: DatasetBase, names: Mapping[int, str]) -> dict[str, list[int]]:
    """Each class of the store, in order, with the label values that it stands for.

    ``names``: label value -> name; values of one name are one class. ``classes: merged`` makes one
    of all. Raises UserError for more classes than a label of eight bits can tell apart.
    """
    table: dict[str, list[int]] = {}
    for value, name in sorted(names.items()):
        table.setdefault(name, []).append(value)
    if dataset.classes == "merged" and len(table) > 1:
        return {"foreground": sorted(names)}
    if len(table) > MOST_CLASSES:
        raise UserError(
            f"{dataset.name}: its labels have {len(table)} values, at most {MOST_CLASSES} can be "
            "classes; set dataset.classes: merged if they number objects of one kind"
        )
    return table


def to_classes(label: NDArray[Any], table: Mapping[str, Sequence[int]]) -> NDArray[np.uint8]:
    """The source's label values, whole numbers, as 0..K: the numbers of the classes in the table.

    Raises UserError for values that belong to no class.
    """
    values = label_values(label)
    known = {value for of_class in table.values() for value in of_class}
    unexpected = [value for value in values if value not in known]
    if unexpected:
        declared = ", ".join(map(str, sorted({0, *known})))
        raise UserError(
            f"the label has unexpected values ({_some(unexpected)}); declared: {declared}"
        )
    numbers = np.zeros(max(known, default=0) + 1, dtype=np.uint8)
    for number, of_class in enumerate(table.values(), start=1):
        numbers[list(of_class)] = number
    result: NDArray[np.uint8] = numbers[label]
    return result


def label_values(label: NDArray[Any]) -> list[int]:
    """The values of the foreground, rising, of a label of whole numbers.

    Raises UserError for values outside 0..65535.
    """
    values = [int(value) for value in np.unique(label)]
    if values[0] < 0 or values[-1] > LARGEST_VALUE:
        outside = [value for value in values if not 0 <= value <= LARGEST_VALUE]
        raise UserError(
            f"the label has unexpected values ({_some(outside)}); they must be 0..{LARGEST_VALUE}"
        )
    return [value for value in values if value]


def surveyed(dataset: DatasetBase, found: Mapping[str, Sequence[int]]) -> dict[int, str]:
    """Names for the values that the labels hold, where the source declares none.

    ``found``: case -> the values of its foreground. Raises UserError if some cases write their
    foreground in other values than the rest, since which of them mean the same is not known.
    """
    kinds: list[tuple[set[int], list[str]]] = []  # values that occur together, and their cases
    for case_id, values in found.items():
        if not values:
            continue
        joined, cases = set(values), [case_id]
        for kind in [kind for kind in kinds if kind[0] & joined]:
            kinds.remove(kind)
            joined, cases = joined | kind[0], kind[1] + cases
        kinds.append((joined, cases))
    if len(kinds) > 1 and dataset.classes == "separate":
        ways = "; ".join(
            f"{', '.join(map(str, sorted(values)))} in {_cases(cases)}" for values, cases in kinds
        )
        raise UserError(
            f"{dataset.name}: the foreground is not written alike in all labels: {ways}. "
            "If it is the same structure, set dataset.classes: merged; if not, name each value in "
            "classes.txt, one '<value> <name>' per line"
        )
    values = sorted({value for kind, _ in kinds for value in kind})
    if len(values) <= 1:
        return {value: "foreground" for value in values or [1]}
    return {value: f"label_{value}" for value in values}


def _cases(ids: Sequence[str]) -> str:
    shown = ", ".join(f"'{it}'" for it in ids[:3])
    more = len(ids) - 3
    return f"{'case' if len(ids) == 1 else 'cases'} {shown}" + (
        f" and {more} more" if more > 0 else ""
    )


def _some(values: Sequence[int]) -> str:
    shown = [str(value) for value in values[:5]]
    return ", ".join(shown + ["..."] * (len(values) > 5))
