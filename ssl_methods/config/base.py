"""What every setting is made of: its meaning and bounds, types that recur, names of values."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ssl_methods.errors import UserError

Recipe = Literal["unified", "as_released"]
LabeledCases = Literal["partition", "drawn", "first"]
TestFold = Literal["listed", "rotated"]
Budget = Annotated[
    Annotated[int, Field(ge=1, le=1_000_000)] | Annotated[float, Field(gt=0.0, le=1.0)],
    BeforeValidator(lambda value: _budget(value)),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]

# What has one value per axis says so in its meaning, with these words.
IN_ORDER = "one per axis of the file's array (x, y, z; of pictures x, y)"
PER_AXIS = "per axis"
Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=100_000)], ...],
    Field(min_length=2, max_length=3),
    PER_AXIS,
]
Lengths = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1000)], ...],
    Field(min_length=2, max_length=3),
    PER_AXIS,
]

LARGEST_SEED = 2**32 - 1
MOST_STEPS = 100_000_000
MOST_THINGS = 1000  # patches, windows, threads at a time: more fit in no machine


def setting(
    default: Any, meaning: str, *, source: str = "", search: Any = None, **bounds: Any
) -> Any:
    """A field with its one-line meaning, where its default comes from, and its range for tuning."""
    extra = {key: value for key, value in (("source", source), ("search", search)) if value}
    return Field(default, description=meaning, json_schema_extra=extra or None, **bounds)


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, no NaN or infinity, no true as a number."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key, value in data.items():
                if _holds_truth(value) and key in cls.model_fields and key not in _truths(cls):
                    raise ValueError(f"{key}: must not be true or false")
        return data


def _holds_truth(value: Any) -> bool:
    return isinstance(value, bool) or (
        isinstance(value, list | tuple) and any(isinstance(item, bool) for item in value)
    )


@cache
def _truths(model: type[Settings]) -> frozenset[str]:
    """The fields that may be true or false, or anything."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if "bool" in str(field.annotation) or "Any" in str(field.annotation)
    )


def budget_text(budget: int | float) -> str:
    """4 -> '4'; 0.1 -> '0.1'; all labels -> '1.0'."""
    return str(budget)


def parse_budget(text: str) -> int | float:
    """The inverse of ``budget_text``; 'all' is 1.0. Raises UserError for anything else."""
    if text == "all":
        return 1.0
    try:
        budget: int | float = int(text) if text.isdecimal() else float(text)
    except ValueError:
        budget = 0
    if (isinstance(budget, int) and budget >= 1) or 0 < budget <= 1:
        return budget
    raise UserError(f"budget '{text}': give a count (8), a fraction (0.1) or 'all'")


def _budget(value: Any) -> Any:
    """'all', and numbers in quotes, of which pydantic would take '1.0' for the count 1."""
    try:
        budget = parse_budget(value) if isinstance(value, str) else value
    except UserError as error:
        raise ValueError(str(error)) from None
    is_number = isinstance(budget, int | float) and not isinstance(budget, bool)
    if is_number and not (0 < budget <= 1 or (isinstance(budget, int) and 1 <= budget <= 10**6)):
        raise ValueError("must be a count up to 1000000, a fraction above 0 and up to 1, or 'all'")
    return budget


def digest(data: Any) -> str:
    """Sixteen hexadecimal digits that name a JSON value."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
