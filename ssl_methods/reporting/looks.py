"""One colour, marker and name per method, in all figures: its face, as its runs recorded it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from ssl_methods.analysis.shown import one_line
from ssl_methods.analysis.tables import in_order, roles
from ssl_methods.config import Run
from ssl_methods.face import Face, written
from ssl_methods.reporting.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    OCHRE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
)


class Look(NamedTuple):
    """What stands for a method: its colour and marker."""

    colour: str
    marker: str


FAMILIES = {
    "labeled images alone": GREY,
    "every label": BLACK,
    "averaged teacher": ORANGE,
    "level set": GREEN,
    "dual task": BLUE,
    "several networks": VERMILION,
    "several decoders": PURPLE,
    "output distribution": SKY,
    "pseudo-labels": OCHRE,
    "control": LIGHT_GREY,
}
"""The colour of a family of methods, which their files name."""

OTHERS = (VERMILION, PURPLE, SKY, BLACK, OCHRE)
"""Colours of methods without a family, and of families that are not listed above."""
MARKERS = "osv^DdPXh"
OTHER_MARKERS = "<>p8Hd"

TUNED = "_tuned"
"""Ends the name of a row with the settings that a study found: `dtc_tuned` is 'DTC (tuned)'."""

DASHES = {"bound": "--", "method": "-", "control": ":"}
"""How the line of a role is drawn."""


_recorded: ContextVar[Mapping[str, Face]] = ContextVar("_recorded", default=MappingProxyType({}))


@contextmanager
def shown_as(faces: Mapping[str, Face]) -> Iterator[None]:
    """Within it, rows are called and drawn as the runs that are shown recorded it."""
    before = _recorded.set(faces)
    try:
        yield
    finally:
        _recorded.reset(before)


def face(row: str) -> Face:
    """The face of a row: what its runs recorded, else that of the packaged method of its name."""
    return _recorded.get().get(row) or written(row)


def faces_of(records: Iterable[tuple[Run, Mapping[str, Any]]]) -> dict[str, Face]:
    """The face of each row from its runs' ``run.yaml``, which may hold anything.

    A row that is not called as its method has the method's family and keeps its own name.
    """
    found: dict[str, Face] = {}
    for run, record in records:
        known = {name: record.get(name) for name in Face._fields}
        texts = {name: one_line(text) for name, text in known.items() if isinstance(text, str)}
        said = Face(**texts) if texts else written(run.choice.method)
        if said.marker not in {*MARKERS, *OTHER_MARKERS}:
            said = said._replace(marker="")
        found[run.name] = said if run.name == run.choice.method else Face(family=said.family)
    return found


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method: the colour of its family, and no two alike.

    Markers are those that the methods' files ask for; others are given in alphabetical order. What
    a study tuned has the colour of the method, and a star.
    """
    names = list(dict.fromkeys(methods))
    plain = sorted({name.removesuffix(TUNED) for name in names})
    faces = {name: face(name) for name in plain}
    unlisted = [name for name in plain if faces[name].family not in FAMILIES]
    groups = sorted({faces[name].family or name for name in unlisted})
    colours = {group: OTHERS[i % len(OTHERS)] for i, group in enumerate(groups)}
    found: dict[str, Look] = {}
    for name in sorted(plain, key=lambda name: not faces[name].marker):
        of_family = faces[name].family
        colour = FAMILIES.get(of_family) or colours[of_family or name]
        start = groups.index(of_family or name) % len(OTHER_MARKERS) if name in unlisted else 0
        free = [faces[name].marker, *OTHER_MARKERS[start:], *OTHER_MARKERS[:start], *MARKERS]
        wanted = [Look(colour, marker) for marker in free if marker]
        left = [look for look in wanted if look not in found.values()]
        found[name] = (left or wanted)[0]
    tuned = {name: Look(found[name.removesuffix(TUNED)].colour, "*") for name in names}
    return {name: tuned[name] if name.endswith(TUNED) else found[name] for name in names}


def label(method: str) -> str:
    """The method's name as figures write it."""
    base = method.removesuffix(TUNED)
    return (face(base).title or base) + (" (tuned)" if method != base else "")


def methods_of(frame: pd.DataFrame) -> dict[str, str]:
    """Each method and its role: upper bounds first, controls last, else as they come."""
    frame = in_order(frame.drop_duplicates("method"))  # of 200,000 rows 25 are left to sort
    return dict(zip(frame["method"], roles(frame), strict=True))
