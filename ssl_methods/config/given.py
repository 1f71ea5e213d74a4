"""What Snakemake was given: configuration files, and words after ``--config`` that replace theirs.

Snakemake reads files by YAML 1.1, and of ``--config`` it leaves every word within a list or mapping
as text, so that ``budgets=[1.0]`` would not be what it is in a file. Here both mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_methods import yaml_core
from ssl_methods.errors import UserError


def as_given(
    files: Sequence[Mapping[str, Any]], words: Mapping[str, Any], handed_on: bool = False
) -> dict[str, Any]:
    """One mapping: later files replace the keys of earlier ones, mappings key by key, words last.

    Args:
        files: what is in each configuration file, in the order of the command line.
        words: what Snakemake made of ``--config`` (``workflow.config_settings.config``).
        handed_on: this is a job on another machine, to which Snakemake hands nothing as 'None'.
    """
    given: Any = {}
    for data in (*files, {key: _top(key, words[key], handed_on) for key in words}):
        given = _merged(given, data)
    return dict(given)


def _top(key: str, value: Any, handed_on: bool) -> Any:
    if handed_on and value == "None":
        return None
    try:
        return _meant(value)
    except yaml_core.BadYaml as error:
        raise UserError(f"--config {key}: {error}") from None


def _meant(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_meant(item) for item in value]
    return yaml_core.word(value) if isinstance(value, str) else value


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
