"""Every figure of the page: the files of this folder, and those that an experiment names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ssl_methods.errors import UserError, did_you_mean
from ssl_methods.plugins import Plugins
from ssl_methods.reporting.figures.base import SECTIONS, Drawing

FIGURES = Plugins("ssl_methods.reporting.figures", "figure")


def drawings(own: Iterable[Path] = ()) -> dict[str, Drawing]:
    """Every figure by name, in the order of the page.

    Args:
        own: files of the user's own, which are programs: those that the experiment names which a
            verb is given.

    Raises UserError if a file does not define one figure, or names no section of the page.
    """
    names = [*FIGURES.packaged, *(FIGURES.register(file) for file in own)]
    made = {name: FIGURES.subclass(name, Drawing)() for name in names}
    for name, drawing in made.items():
        if drawing.section not in SECTIONS:
            raise UserError(
                f"{FIGURES.modules()[name]}: the page has no section '{drawing.section}'"
                f"{did_you_mean(drawing.section, SECTIONS)}"
            )
    return dict(sorted(made.items(), key=lambda item: (item[1].place, item[0])))
