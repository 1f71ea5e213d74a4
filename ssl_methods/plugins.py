"""Plug-ins: a method, a question, a figure, an importer or a metric is one Python file.

Its name is the file's, and it is found by its folder: those of this package in a package's folder,
one's own wherever the user names it, an installed one by an entry point. Listing names imports
nothing; a file is imported when it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ssl_methods.errors import UserError, did_you_mean

PACKAGE = Path(__file__).parent
NOT_PLUGINS = ("__init__", "base", "registry")
"""Files of every plug-in's folder that are none: ``base`` is the contract."""

Kind = TypeVar("Kind")


def is_file(given: object) -> bool:
    """Is a plug-in given as a file of the user's own, which is a program, and not by its name?"""
    return isinstance(given, str) and given.endswith(".py")


def name_of(given: str) -> str:
    """Name of a plug-in that is given by name or as one's own file (``scans/mine.py``)."""
    return Path(given).stem if is_file(given) else given


class Plugins:
    """Every plug-in of one kind, by name.

    Args:
        package: whose files are the plug-ins, e.g. ``ssl_methods.methods``.
        what: one of them in words: ``method``.
        group: of the entry points by which installed packages add theirs; '' for none.
    """

    def __init__(self, package: str, what: str, group: str = "") -> None:
        self.package, self.what, self.group = package, what, group
        self._one = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
        self.own: dict[str, Path] = {}
        """Those in files of the user's own, each with its path."""

    @cached_property
    def packaged(self) -> dict[str, str]:
        """Name to module, of the files of the package and of entry points."""
        folder = PACKAGE.joinpath(*self.package.split(".")[1:])
        files = [file for file in folder.glob("[!_]*.py") if file.stem not in NOT_PLUGINS]
        points = entry_points(group=self.group) if self.group else ()
        named = {point.name: point.value.split(":")[0] for point in points}
        named |= {file.stem: f"{self.package}.{file.stem}" for file in files}
        return dict(sorted(named.items()))

    def register(self, file: Path) -> str:
        """Make known a plug-in that a Python file of the user's own defines; returns its name.

        Only for files that the user has named: they are programs. Raises UserError if there is no
        such file, or if the name is taken.
        """
        path, name = file.resolve(), file.stem
        if not path.is_file() or path.suffix != ".py":
            raise UserError(f"{file}: is no Python file that could define {self._one}")
        if name in self.packaged:
            raise UserError(f"{file}: {self._one} '{name}' exists already; name the file otherwise")
        if self.own.setdefault(name, path) != path:
            raise UserError(f"{file}: '{name}' is already defined by {self.own[name]}; rename one")
        return name

    def modules(self) -> dict[str, str]:
        """Name to the module that defines it (for a file of one's own, its path), by name."""
        own = {name: str(path) for name, path in self.own.items()}
        return dict(sorted({**self.packaged, **own}.items()))

    def names(self) -> list[str]:
        """All names, sorted; imports nothing."""
        return list(self.modules())

    def check(self, name: str) -> None:
        """Raises UserError, with the nearest name, if there is no such plug-in."""
        if name not in self.modules():
            raise UserError(f"there is no {self.what} '{name}'{did_you_mean(name, self.names())}")

    def module(self, name: str) -> ModuleType:
        """The module of a plug-in, imported; a file of one's own once, under a name of its own.

        Raises UserError if there is none, or if a file of one's own cannot be imported.
        """
        self.check(name)
        if name not in self.own:
            return importlib.import_module(self.modules()[name])
        path, unique = self.own[name], f"{PACKAGE.name}_own_{self.what}_{name}"
        if getattr(sys.modules.get(unique), "__file__", None) != str(path):
            spec = importlib.util.spec_from_file_location(unique, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[unique] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                del sys.modules[unique]
                raise UserError(f"{path}: {type(error).__name__}: {error}") from error
        return sys.modules[unique]

    def subclass(self, name: str, base: type[Kind]) -> type[Kind]:
        """The one subclass of ``base`` that the plug-in's file defines.

        Raises UserError if there is no such plug-in, or not exactly one subclass.
        """
        module = self.module(name)
        found = [
            item
            for _, item in inspect.getmembers(module, inspect.isclass)
            if issubclass(item, base) and item.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise UserError(
                f"{module.__file__}: must define one subclass of {base.__name__}, "
                f"and defines {len(found)}"
            )
        return found[0]
