"""YAML as it is read and written here: the words of YAML 1.2's core schema, and no surprise.

PyYAML speaks YAML 1.1, where ``1e-3`` is text, ``010`` is eight, ``1:30`` is ninety and ``no`` is
false. Here numbers are what they look like, ``true`` and ``false`` are the two truth values, and a
date is text. Keys are text, whatever they look like. A mapping that names a key twice is refused,
and so is what would not fit in memory.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

DEEPEST = 100  # mappings and lists within one another; the parser itself would die at some 10,000
LONGEST_NUMBER = 1000  # characters
MOST_VALUES = 1_000_000  # with each alias counted as often as it stands for something

_CORE = {  # tag -> what a word of it looks like, and with which characters it begins
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": (r"<<", "<"),
}
_WORDS: dict[str, re.Pattern[str]] = {}
_TEXT = "tag:yaml.org,2002:str"


class BadYaml(ValueError):
    """What is wrong, in one line, without the file's name."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader (the faster one, where it is) with the words above."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this or another reader of YAML could take for something else."""


for _tag, (_pattern, _first) in _CORE.items():
    _WORDS[_tag] = re.compile(f"(?:{_pattern})\\Z")
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _WORDS[_tag], _first)


def _number(loader: Any, node: Any) -> int | float:
    return _as_number(loader.construct_scalar(node))


def _as_number(text: str) -> int | float:
    plain = text.replace("_", "").lower()
    if len(plain) > LONGEST_NUMBER:
        raise BadYaml(f"a number of {len(plain)} characters is none that is meant")
    if plain[:2] in ("0o", "0x"):
        return int(plain, 0)
    if plain.lstrip("+-").isdigit():
        return int(plain)
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def load(text: str) -> Any:
    """What a YAML text says. Raises BadYaml, in one line, whatever is wrong with it."""
    try:
        _check_nesting(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_keys_and_aliases(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise BadYaml(" ".join(str(error).split())) from None


def dump(data: Any) -> str:
    """The text of plain data, in their own order; ``load`` gives them back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def word(text: str) -> Any:
    """What a word without quotes means: '1e-3' -> 0.001, 'null' -> None, 'dtc' -> 'dtc'."""
    for tag, pattern in _WORDS.items():
        if pattern.match(text):
            if tag in ("int", "float"):
                return _as_number(text)
            return {"bool": text.lower() == "true", "null": None}.get(tag, text)
    return text


def _check_nesting(text: str) -> None:
    """The events come without recursion, so that depth can be seen before it does harm."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise BadYaml(f"is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_keys_and_aliases(node: Any, sizes: dict[Any, int]) -> int:
    """How many values a node stands for: each alias is a whole, and a few lines of them can be
    more than memory holds."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in sizes:
        sizes[node] = MOST_VALUES + 1  # as long as it is not known: inside itself it has no end
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        within = [child[1] if isinstance(child, tuple) else child for child in node.value]
        sizes[node] = 1 + sum(_check_keys_and_aliases(child, sizes) for child in within)
        if sizes[node] > MOST_VALUES:
            raise BadYaml(f"holds more than {MOST_VALUES} values, its aliases (*) counted")
    return sizes[node]


def _check_keys(node: Any) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise BadYaml(f"line {line}: a key must be a word, not a list or a mapping")
        key.tag = _TEXT  # also if it looks like a number: `4:` is what `"4":` is
        if key.value in lines:
            twice = f"in lines {lines[key.value]} and {line}"
            raise BadYaml(f"key '{key.value}' is given twice, {twice}")
        lines[key.value] = line
