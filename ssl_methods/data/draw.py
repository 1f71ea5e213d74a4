"""Random order of cases that is the same on every platform and in every version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal


def shuffled(ids: Iterable[str], *key: str | int) -> list[str]:
    """The ids in the order of the SHA-256 of (key, id).

    Depends on the key and the ids alone, not on their given order; the first n are a random draw.
    """

    def place(case_id: str) -> str:
        return hashlib.sha256(json.dumps([*key, case_id]).encode()).hexdigest()

    return sorted(ids, key=place)


def drawn(units: Mapping[str, str], count: int, *key: str | int) -> set[str]:
    """At least ``count`` ids, by whole units in the order of ``shuffled``.

    ``units``: id -> what it must not be parted from, e.g. its slide; its own id if it stands alone.
    """
    chosen: set[str] = set()
    for unit in shuffled(set(units.values()), *key):
        if len(chosen) >= count:
            break
        chosen |= {case_id for case_id, its in units.items() if its == unit}
    return chosen


def share(amount: int | float, total: int) -> int:
    """A count as it is; a fraction of ``total``, rounded half up, at least one."""
    if isinstance(amount, int):
        return amount
    exact = Decimal(str(amount)) * total
    return max(1, int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)))
