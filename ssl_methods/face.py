"""A method's face: what it is called and drawn with, as its file says.

A run records it, so that reports need not import methods, which need torch. What a run of an
earlier version does not record is read from the method's file as text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

METHODS = Path(__file__).with_name("methods")


class Face(NamedTuple):
    """A method's ``title``, ``family`` and ``marker``; '' where its file says nothing."""

    title: str = ""
    family: str = ""
    marker: str = ""

    @classmethod
    def of(cls, method: type) -> Face:
        """What a method's class says of itself; from the class that it extends the family alone."""
        own = vars(method)
        return cls(own.get("title", ""), getattr(method, "family", ""), own.get("marker", ""))


@cache
def written(method: str) -> Face:
    """What the file of a method of this package says, without importing it; nothing of others."""
    file = METHODS / f"{method}.py"
    if not method.isidentifier() or not file.is_file():
        return Face()
    said = dict(_constants(ast.parse(file.read_text(encoding="utf-8"))))
    return Face(**{name: said[name] for name in Face._fields if name in said})


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Names and constants of assignments in the bodies of classes, the last class last."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign):
                    yield from _assigned(line.targets[0], line.value)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Any]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, its)
    elif isinstance(target, ast.Name) and isinstance(value, ast.Constant):
        yield target.id, value.value
