"""How every figure looks: widths, type, the palette by name; and how it becomes a file."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ssl_methods.files import write_with
from ssl_methods.reporting.fonts import USUAL, draw_with_fallbacks

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
"""Okabe & Ito 2008, safe for the colour-blind."""
OCHRE = "#b59f00"
"""YELLOW where it is a line on white."""
GREY, LIGHT_GREY = "#6e6e6e", "#9a9a9a"

SINGLE, DOUBLE = 3.5, 7.2
"""Widths in inches: one and two columns of a journal page."""


def column_width(wanted: float) -> float:
    """The narrower of the two widths that holds ``wanted`` inches, if one does."""
    return SINGLE if wanted <= SINGLE else DOUBLE


RC = {
    "text.parse_math": False,  # a $ in the name of a case or class is a $
    "font.family": USUAL,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "image.cmap": "gray",
}

MANY = 8
"""More methods than this are not drawn over one another: each then has a line or panel of its own,
with its name beside it."""

TALLEST = 16_000
"""Pixels of a picture's height; a taller figure has fewer dots per inch (its PDF stays sharp)."""


def save(figure: Figure, folder: Path, name: str) -> str:
    """``<name>.pdf`` (vector) and ``<name>.png`` (300 dpi or ``TALLEST``); equal figures give equal
    bytes.

    Returns the characters that no installed font draws.
    """
    dpi = min(300, int(TALLEST / figure.get_figheight()))
    with mpl.rc_context(RC | {"savefig.dpi": dpi}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the caller says it once
        figure.set_dpi(dpi)  # text is a little wider than at a screen's resolution
        figure.draw_without_rendering()
        undrawn, outlines = draw_with_fallbacks(figure.findobj(Text))
        if outlines:
            mpl.rcParams["pdf.fonttype"] = 3
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, for both files
        write_with(
            folder / f"{name}.pdf",
            lambda f: figure.savefig(f, format="pdf", metadata={"CreationDate": None}),
        )
        png = io.BytesIO()
        figure.savefig(png, format="png")
    png.seek(0)
    small = Image.open(png).convert("RGB")
    if not any(axis.images for axis in figure.axes):
        small = small.quantize(256, dither=Image.Dither.NONE)  # enough for lines, too few for scans
    write_with(
        folder / f"{name}.png", lambda f: small.save(f, format="png", optimize=True, dpi=(dpi, dpi))
    )
    return undrawn
