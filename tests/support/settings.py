"""Every setting of a model, and for each another value that it could have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from ssl_methods.config import Run, parse
from ssl_methods.errors import UserError


def leaves(settings: Mapping[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    """The path of each setting, through the keys of nested mappings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, *above, key)
        else:
            yield (*above, key)


def words(schema: Any) -> set[str]:
    """Every word that a setting of a choice can have."""
    if isinstance(schema, Mapping):
        found = {word for word in schema.get("enum", []) if isinstance(word, str)}
        found |= {schema["const"]} if isinstance(schema.get("const"), str) else set()
        return found.union(*(words(value) for value in schema.values()))
    return set().union(*(words(value) for value in schema)) if isinstance(schema, list) else set()


Model = TypeVar("Model", bound=BaseModel)
WORDS = sorted(words(Run.model_json_schema()))


def changed(model: Model, path: tuple[str, ...], *also: Any) -> Model | None:
    """The same with another valid value there (``also``: more to try); None if there is none."""
    dumped = model.model_dump(mode="json")
    *above, key = path
    place: Any = dumped
    for name in above:
        place = place[name]
    old = place[key]
    numbers = [old + 1, old - 1, old * 2, old / 2] if isinstance(old, int | float) else []
    lists = [[old[0] * 2, *old[1:]], [1.5] * len(old)] if isinstance(old, list) and old else []
    several = [[1, 99], [1.0, 1.5, 2.0], [4, 4, 4], ["x"], {"ce_weight": 1}]
    common = [True, False, 2, 1.5, "x", "RAS", [0.5, 0.6], *several]
    for value in [*numbers, *lists, *common, *WORDS, *also]:
        place[key] = value
        try:
            other = parse(type(model), dumped, "test")
        except UserError:
            continue
        if other != model:
            return other
    return None
