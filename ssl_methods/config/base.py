"""What every setting is made of: its meaning and bounds, types that recur, names of values."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ssl_methods.errors import UserError

Recipe = Literal["unified", "as_released"]
LabeledCases = Literal["partition", "drawn", "first"]
Budget = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Sizes = tuple[int, int] | tuple[int, int, int]
Lengths = tuple[float, float] | tuple[float, float, float]


def setting(
    default: Any, meaning: str, *, source: str = "", search: Any = None, **bounds: Any
) -> Any:
    """A field with its one-line meaning, where its default comes from, and its range for tuning."""
    extra = {key: value for key, value in (("source", source), ("search", search)) if value}
    return Field(default, description=meaning, json_schema_extra=extra or None, **bounds)


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, NaN and infinity refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def budget_text(budget: int | float) -> str:
    """4 -> '4'; 0.1 -> '0.1'; all labels -> '1.0'."""
    return str(budget)


def parse_budget(text: str) -> int | float:
    """The inverse of ``budget_text``; 'all' is 1.0. Raises UserError for anything else."""
    if text == "all":
        return 1.0
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise UserError(f"budget '{text}': give a count (8), a fraction (0.1) or 'all'") from None


def digest(data: Any) -> str:
    """Sixteen hexadecimal digits that name a JSON value."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def did_you_mean(word: str, words: Any) -> str:
    """'; did you mean ...?' or the list of valid names if none is near."""
    near = difflib.get_close_matches(str(word), [str(w) for w in words], n=1)
    return (
        f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(map(str, words)))}"
    )
