"""The table of methods in the project's README: their families, and their papers."""

from __future__ import annotations

from ssl_methods import methods
from ssl_methods.analysis.bibliography import papers
from ssl_methods.reporting.looks import FAMILIES
from ssl_methods.settings_pages.pages import packaged

ROLES = {"bound": "upper bound", "control": "control"}


def methods_table() -> str:
    """A row for each family that methods' files name: those methods, with their papers or role."""
    by_family: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for name in packaged():
        by_family.setdefault(methods.method_class(name).family or "others", []).append(name)
    rows = [
        f"| {family} | {', '.join(map(_cited, names))} |"
        for family, names in by_family.items()
        if names
    ]
    return "\n".join(["| family | methods |", "|---|---|", *rows]) + "\n"


def _cited(name: str) -> str:
    kind = methods.method_class(name)
    said = [ROLES[kind.role]] if ROLES.get(kind.role, kind.family) != kind.family else []
    said += [entry.short for entry in papers(name)]
    return f"`{name}` ({'; '.join(said)})" if said else f"`{name}`"
