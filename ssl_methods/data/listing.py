"""The files of a data set's folder, so that each is either used or named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from ssl_methods.errors import UserError

# What systems leave in folders, and what describes a data set to people; in any case of letters.
NOT_DATA = ("thumbs.db", "desktop.ini", "readme*", "licen[cs]e*", "citation*", "changelog*")
NOT_DATA_AT_THE_TOP = ("*.yaml", "*.yml")
NOT_DATA_FOLDERS = ("__MACOSX", "results")  # at the top; the last is what this package writes


class Listing:
    """What lies below a folder, hidden files and by-catch left out.

    ``files`` are to be used, ``ignored`` match one of the patterns of ``dataset.ignore``.
    """

    def __init__(self, folder: Path, ignore: Iterable[str] = ()) -> None:
        self.folder = folder
        self.files: list[Path] = []
        self.ignored: list[Path] = []
        self.named: set[Path] = set()  # in another fault
        patterns = tuple(pattern.removesuffix("/") for pattern in ignore)
        for path in files_below(folder):
            name = path.relative_to(folder).as_posix()
            if _is_bycatch(name):
                continue
            (self.ignored if _matches(name, patterns) else self.files).append(path)

    def within(self, part: str, depth: int = 2) -> list[Path]:
        """The files of a folder in it, at most so deep: 1 is in that folder itself."""
        base = self.folder / part
        return [
            path
            for path in self.files
            if path.is_relative_to(base) and len(path.relative_to(base).parts) <= depth
        ]

    def unused(self, used: Iterable[Path]) -> list[Path]:
        """The files that the importer has no use for, and has not named."""
        taken = self.named | set(used)
        return [path for path in self.files if path not in taken]


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder that is not hidden, sorted, broken links among them.

    Links to folders are followed, and each real folder is visited once: loops end. Raises UserError
    for a folder that cannot be listed.
    """
    found: list[Path] = []
    seen = {folder.resolve()}
    linked: list[Path] = []
    waiting = [folder]
    while waiting or linked:
        # Folders of the data set's own come before links, or a link might stand for one of them.
        parent = waiting.pop() if waiting else linked.pop(0)
        if parent.is_symlink() and parent != folder:
            if parent.resolve() in seen:
                continue
            seen.add(parent.resolve())
        for path in _entries(parent):
            if not path.is_dir():
                found.append(path)
            elif path.is_symlink():
                linked.append(path)
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                waiting.append(path)
    return sorted(found)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    return (folder / name for name in names if not name.startswith("."))


def _is_bycatch(name: str) -> bool:
    first, *rest = name.split("/")
    last = (rest or [first])[-1].lower()
    patterns = NOT_DATA if rest else NOT_DATA + NOT_DATA_AT_THE_TOP
    return bool(rest and first in NOT_DATA_FOLDERS) or any(fnmatchcase(last, it) for it in patterns)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Does a pattern match the path, or a folder that it lies in? ``*`` matches ``/`` too."""
    parts = name.split("/")
    ends = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatchcase(end, pattern) for pattern in patterns for end in ends)
