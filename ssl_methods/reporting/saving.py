"""Figures as files: equal figures give equal bytes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ssl_methods.files import write_with
from ssl_methods.reporting.fonts import draw_with_fallbacks
from ssl_methods.reporting.style import RC

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
