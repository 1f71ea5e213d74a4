"""What stands alone in a list, a table or an index says by itself what it is about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ssl_methods import config, methods
from ssl_methods.tuning.study import Study, StudyMethod

# A meaning that begins so is the rest of a phrase whose beginning is nowhere.
FRAGMENT = re.compile(r"(of|at|as|after|around|on|by|for|from|in|with|to|than|per) ", re.I)


def models() -> Iterator[type[BaseModel]]:
    yield from (config.Experiment, config.MethodChoice, config.NetworkConfig)
    yield from (config.TrainingConfig, config.EvaluationConfig)
    yield from map(config.dataset_class, config.IMPORTERS.names())
    yield from (methods.method_class(name).Config for name in methods.names())
    yield from (Study, StudyMethod)


def settings() -> dict[str, FieldInfo]:
    return {
        f"{model.__name__}.{name}": field
        for model in models()
        for name, field in model.model_fields.items()
    }


@pytest.fixture(scope="module")
def explained() -> dict[str, FieldInfo]:
    return settings()


def is_whole(field: FieldInfo) -> bool:
    """Whether the meaning says what is set, and not only what some value of it does."""
    meaning = field.description or ""
    values = [str(value) for value in get_args(field.annotation)]
    about_a_value = get_origin(field.annotation) is Literal and meaning.startswith(
        tuple(f"{value}:" for value in values)
    )
    return len(meaning.split()) >= 3 and not FRAGMENT.match(meaning) and not about_a_value


def test_every_setting_has_a_meaning_that_is_a_whole_phrase(explained):
    tags = {name for name in explained if name.endswith(".importer")}
    assert len(explained) > 200
    assert [name for name in explained.keys() - tags if not is_whole(explained[name])] == []


@pytest.mark.parametrize(
    ("meaning", "whole"),
    [
        ("", False),
        ("largest", False),
        ("of the average", False),
        ("at the start", False),
        ("fast: without care", False),
        ("how it is done; fast: without care", True),
        ("EMA decay of the teacher", True),
    ],
)
def test_fragments_are_told_from_phrases(meaning, whole):
    class Some(config.Settings):
        way: Literal["fast", "slow"] = config.setting("fast", meaning)

    assert is_whole(Some.model_fields["way"]) is whole


# ---- docstrings ----------------------------------------------------------------------------------

PACKAGE = Path(config.__file__).parents[1]
# So begins what does not say of itself what is returned, or done.
DANGLING = re.compile(r"(Of|As|From|With|Without|By|In)\b")


def dangling(source: str) -> list[str]:
    """Names of the functions and classes whose docstring begins so."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and DANGLING.match(ast.get_docstring(node) or "")
    ]


def test_the_first_line_of_a_docstring_stands_alone():
    found = {path.name: dangling(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert len(found) > 100
    assert {name: names for name, names in found.items() if names} == {}


def test_a_docstring_that_dangles_is_found():
    said = {"one": "Of the network.", "two": "Offset of a voxel.", "three": "As it was."}
    source = "\n".join(f'def {name}():\n    """{text}"""\n' for name, text in said.items())
    assert dangling(source) == ["one", "three"]
