"""How every figure looks: widths, type, the palette by name."""

from __future__ import annotations

from ssl_methods.reporting.fonts import USUAL

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
