"""The figures of the page: each drawn and saved, or the reason why there is none."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.figures.registry import drawings
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import RC, save

PIXELS_PER_INCH = 125  # on the page: text of figures as large as text of tables


class Shown(NamedTuple):
    """A figure on the page: its picture as data URI and width in pixels, or why there is none."""

    name: str
    caption: str
    section: str
    folded: bool
    picture: str = ""
    width: int = 0
    reason: str = ""
    undrawn: str = ""  # characters that no installed font draws
    chart: bool = False  # no pictures in it: on a dark page its lightness is turned round


def gallery(found: Results) -> list[Shown]:
    """Every figure, drawn into the experiment's ``figures/``, in the order of the page.

    Raises UserError if a file that the experiment names is no figure.
    """
    folder, own = found.folder / "figures", found.experiment.figures
    return [draw(name, drawing, found, folder) for name, drawing in drawings(own).items()]


def draw(name: str, drawing: Drawing, found: Results, folder: Path) -> Shown:
    """Make and save one figure. If its data are absent, an old one of that name is removed."""
    shown = Shown(name, drawing.caption_for(found), drawing.section, drawing.folded)
    try:
        with mpl.rc_context(RC):
            figure = drawing.draw(found)
    except NothingToShow as reason:
        for suffix in ("pdf", "png"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
        return shown._replace(reason=str(reason))
    undrawn = save(figure, folder, name)
    data = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
    return shown._replace(
        picture=f"data:image/png;base64,{data}",
        width=round(figure.get_figwidth() * PIXELS_PER_INCH),
        undrawn=undrawn,
        chart=not any(axis.images for axis in figure.axes),
    )
