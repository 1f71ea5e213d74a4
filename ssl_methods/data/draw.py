"""Random order of cases that is the same on every platform and in every version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal


def shuffled(ids: Iterable[str], *key: str | int) -> list[str]:
    """The ids in the order of the SHA-256 of (key, id).

    Depends on the key and the ids alone, not on their given order; the first n are a random draw.
    """

    def place(case_id: str) -> str:
        return hashlib.sha256(json.dumps([*key, case_id]).encode()).hexdigest()

    return sorted(ids, key=place)


def share(amount: int | float, total: int) -> int:
    """A count as it is; a fraction of ``total``, rounded half up, at least one."""
    if isinstance(amount, int):
        return amount
    exact = Decimal(str(amount)) * total
    return max(1, int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)))
