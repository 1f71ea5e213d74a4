"""One colour, marker and name per method, in all figures: its face, as its runs recorded it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from ssl_methods.analysis.names import TUNED, face
from ssl_methods.analysis.tables import in_order, roles
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

DASHES = {"bound": "--", "method": "-", "control": ":"}
"""How the line of a role is drawn."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method: the colour of its family, and no two alike.

    Markers are those that the methods' files ask for, if figures draw them; others are given in
    alphabetical order. What a study tuned has the colour of the method, and a star.
    """
    names = list(dict.fromkeys(methods))
    plain = sorted({name.removesuffix(TUNED) for name in names})
    faces = {name: face(name) for name in plain}
    for name, it in faces.items():
        if it.marker not in {*MARKERS, *OTHER_MARKERS}:
            faces[name] = it._replace(marker="")
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


def methods_of(frame: pd.DataFrame) -> dict[str, str]:
    """Each method and its role: upper bounds first, controls last, else as they come."""
    frame = in_order(frame.drop_duplicates("method"))  # of 200,000 rows 25 are left to sort
    return dict(zip(frame["method"], roles(frame), strict=True))
