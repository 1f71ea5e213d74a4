"""What every setting is made of: its meaning and bounds, types that recur, names of values."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Recipe = Literal["unified", "as_released"]
LabeledCases = Literal["partition", "drawn", "first"]
Counted = Literal["cases", "patients"]
TestFold = Literal["listed", "rotated"]
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


def digest(data: Any) -> str:
    """Sixteen hexadecimal digits that name a JSON value."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
