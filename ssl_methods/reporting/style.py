"""How every figure looks: widths, type, and one colour and marker per method in all of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from ssl_methods.files import write_with

SINGLE, DOUBLE = 3.5, 7.2
"""Widths in inches: one and two columns of a journal page."""

RC = {
    "font.family": "DejaVu Sans",
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


class Look(NamedTuple):
    """What stands for a method: colour (Okabe & Ito 2008, safe for the colour-blind) and marker."""

    colour: str
    marker: str


FIXED = {
    "supervised": Look("#6e6e6e", "o"),
    "mean_teacher": Look("#e69f00", "s"),
    "sdf_multitask": Look("#009e73", "^"),
    "dtc": Look("#0072b2", "D"),
}
OTHERS = ("#d55e00", "#cc79a7", "#56b4e9", "#000000", "#b59f00")
OTHER_MARKERS = ("v", "P", "X", "<", ">", "p", "h")

NAMES = {
    "supervised": "Supervised",
    "mean_teacher": "Mean teacher",
    "sdf_multitask": "SDF multitask",
    "dtc": "DTC",
}


class NothingToShow(Exception):
    """A figure's data are absent. The message says which, and stands on the page in its place."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method; those without a fixed one take theirs in alphabetical order."""
    names = list(dict.fromkeys(methods))
    free = [
        Look(OTHERS[i % len(OTHERS)], OTHER_MARKERS[i % len(OTHER_MARKERS)])
        for i in range(len([name for name in names if name not in FIXED]))
    ]
    others = dict(zip(sorted(name for name in names if name not in FIXED), free, strict=True))
    return {name: FIXED.get(name) or others[name] for name in names}


def label(method: str) -> str:
    """The method's name as figures write it."""
    return NAMES.get(method, method)


def budgets(frame: pd.DataFrame) -> dict[str, str]:
    """Each budget, from few labels to many, with the text that figures write: '16', '80 (all)'."""
    counts = (
        frame.dropna(subset=["labeled"])
        .drop_duplicates("budget")
        .sort_values("labeled", kind="stable")
    )
    return {
        row["budget"]: f"{int(row['labeled'])} (all)"
        if row["budget"] == "1.0"
        else f"{int(row['labeled'])}"
        for _, row in counts.iterrows()
    }


def labeled_text(count: str) -> str:
    """'4 labeled cases', from what ``budgets`` gives."""
    return "1 labeled case" if count == "1" else f"{count.split()[0]} labeled cases"


NAME_WIDTH = 1.15  # inches that a method's name takes in a legend


def top_legend(figure: Figure) -> None:
    """One legend above all panels, each name once."""
    named: dict[str, object] = {}
    for axis in figure.axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(text, handle)
    columns = max(int(figure.get_figwidth() / NAME_WIDTH), 1)
    figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=columns)


def save(figure: Figure, folder: Path, name: str) -> None:
    """``<name>.pdf`` (vector) and ``<name>.png`` (300 dpi); equal figures give equal bytes."""
    with mpl.rc_context(RC):
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
        folder / f"{name}.png", lambda f: small.save(f, format="png", optimize=True, dpi=(300, 300))
    )
