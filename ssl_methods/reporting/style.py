"""How every figure looks: widths, type, and one colour and marker per method in all of them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from ssl_methods.analysis.tables import in_order, roles
from ssl_methods.files import write_with
from ssl_methods.reporting.fonts import USUAL, draw_with_fallbacks

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


TALLEST = 16_000
"""Pixels of a picture's height; a taller figure has fewer dots per inch (its PDF stays sharp)."""

MANY = 8
"""More methods than this are not drawn over one another: each then has a line or panel of its own,
with its name beside it."""


class Look(NamedTuple):
    """What stands for a method: colour (Okabe & Ito 2008, safe for the colour-blind) and marker."""

    colour: str
    marker: str


FIXED = {
    # no unlabeled images
    "supervised": Look("#6e6e6e", "o"),
    "supervised_all": Look("#000000", "s"),
    # an averaged teacher
    "mean_teacher": Look("#e69f00", "s"),
    "ua_mt": Look("#e69f00", "v"),
    "ict": Look("#e69f00", "P"),
    # level sets
    "level_set_only": Look("#009e73", "o"),
    "sdf_multitask": Look("#009e73", "^"),
    "sassnet": Look("#009e73", "X"),
    "multi_task_consistency": Look("#009e73", "h"),
    "dtc": Look("#0072b2", "D"),
    "dtc_supervised": Look("#0072b2", "d"),
    # several networks
    "cps": Look("#d55e00", "o"),
    "deep_co_training": Look("#d55e00", "s"),
    "cross_teaching": Look("#d55e00", "^"),
    "r_drop": Look("#d55e00", "D"),
    # several decoders or scales
    "cct": Look("#cc79a7", "o"),
    "mc_net": Look("#cc79a7", "s"),
    "mc_net_plus": Look("#cc79a7", "P"),
    "urpc": Look("#cc79a7", "v"),
    # the distribution of the output
    "entropy_minimization": Look("#56b4e9", "o"),
    "dan": Look("#56b4e9", "X"),
    # pseudo-labels and mixed images
    "fixmatch": Look("#b59f00", "o"),
    "mixmatch": Look("#b59f00", "s"),
    "bcp": Look("#b59f00", "D"),
    # controls
    "mean_shape": Look("#9a9a9a", "P"),
    "empty": Look("#9a9a9a", "X"),
}
OTHERS = ("#d55e00", "#cc79a7", "#56b4e9", "#000000", "#b59f00")
OTHER_MARKERS = ("<", ">", "p", "8", "H", "d")

NAMES = {
    "supervised": "Supervised",
    "supervised_all": "Supervised (all labels)",
    "mean_teacher": "Mean teacher",
    "ua_mt": "UA-MT",
    "ict": "ICT",
    "level_set_only": "Level set only",
    "sdf_multitask": "SDF multitask",
    "sassnet": "SASSNet",
    "multi_task_consistency": "Multi-task consistency",
    "dtc": "DTC",
    "dtc_supervised": "DTC (supervised)",
    "cps": "CPS",
    "deep_co_training": "Deep co-training",
    "cross_teaching": "Cross teaching",
    "r_drop": "R-Drop",
    "cct": "CCT",
    "mc_net": "MC-Net",
    "mc_net_plus": "MC-Net+",
    "urpc": "URPC",
    "entropy_minimization": "Entropy minimization",
    "dan": "DAN",
    "fixmatch": "FixMatch",
    "mixmatch": "MixMatch",
    "bcp": "BCP",
    "mean_shape": "Mean shape",
    "empty": "Empty",
}

TUNED = "_tuned"
"""Ends the name of a row with the settings that a study found: `dtc_tuned` is 'DTC (tuned)'."""

DASHES = {"bound": "--", "method": "-", "control": ":"}
"""How the line of a role is drawn."""


class NothingToShow(Exception):
    """A figure's data are absent. The message says which, and stands on the page in its place."""


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method; those without a fixed one take theirs in alphabetical order."""
    names = list(dict.fromkeys(methods))
    tuned = {name: name.removesuffix(TUNED) for name in names if name.endswith(TUNED)}
    if tuned:  # the colour of what was tuned, and a star
        found = looks([*(name for name in names if name not in tuned), *tuned.values()])
        found |= {name: Look(found[base].colour, "*") for name, base in tuned.items()}
        return {name: found[name] for name in names}
    free = [
        Look(OTHERS[i % len(OTHERS)], OTHER_MARKERS[i % len(OTHER_MARKERS)])
        for i in range(len([name for name in names if name not in FIXED]))
    ]
    others = dict(zip(sorted(name for name in names if name not in FIXED), free, strict=True))
    return {name: FIXED.get(name) or others[name] for name in names}


def label(method: str) -> str:
    """The method's name as figures write it."""
    base = method.removesuffix(TUNED)
    return NAMES.get(base, base) + (" (tuned)" if method != base else "")


def methods_of(frame: pd.DataFrame) -> dict[str, str]:
    """Each method and its role: upper bounds first, controls last, else as they come."""
    frame = in_order(frame.drop_duplicates("method"))  # of 200,000 rows 25 are left to sort
    return dict(zip(frame["method"], roles(frame), strict=True))


def rows_of(frame: pd.DataFrame) -> dict[str, float]:
    """Where each method stands in a list from top to bottom, with a gap between roles."""
    places: dict[str, float] = {}
    before, y = "", -1.0
    for method, role in methods_of(frame).items():
        y += 1.0 if role == before or not before else 1.5
        places[method], before = y, role
    return places


def list_methods(axis: Axes, frame: pd.DataFrame) -> None:
    """The methods' names along the y axis, from top to bottom; a rule between roles."""
    places, kinds = rows_of(frame), methods_of(frame)
    axis.set_yticks(list(places.values()), [label(method) for method in places])
    axis.set_ylim(max(places.values()) + 0.7, -0.7)
    axis.tick_params(axis="y", length=0)
    for text, role in zip(axis.get_yticklabels(), kinds.values(), strict=False):  # inner: none
        if role != "method":
            text.set(style="italic", color=APART)
    names = list(places)
    for above, below in pairwise(names):
        if kinds[above] != kinds[below]:
            axis.axhline((places[above] + places[below]) / 2, color="#b8b8b8", linewidth=0.6)
    axis.grid(visible=False, axis="y")


def keep_in_view(
    axis: Axes, along: str, values: Sequence[np.ndarray], margin: float = 0.04
) -> None:
    """Limits of one axis ('x' or 'y') from what is compared, so that a control cannot squeeze it.

    On a scale that is not linear the margin is a factor.
    """
    found = np.concatenate([np.ravel(part) for part in values]).astype(float)
    found = found[np.isfinite(found)]
    if not len(found):
        return
    low, high = found.min(), found.max()
    gap = (high - low or 1.0) * margin
    if getattr(axis, f"get_{along}scale")() == "linear":
        getattr(axis, f"set_{along}lim")(low - gap, high + gap)
    else:
        getattr(axis, f"set_{along}lim")(low * (1 - margin), high * (1 + 5 * margin))


APART = "#6a6a6a"
"""Ink for the names of upper bounds and controls."""


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


def grid(figure: Figure, panels: int, columns: int, **shared: object) -> list[Axes]:
    """Panels in rows; places left over are no axes, and what has none below it has tick labels."""
    rows = -(-panels // columns)
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axis in axes[panels:]:
        axis.remove()
    for axis in axes[max(panels - columns, 0) : panels]:
        axis.tick_params(labelbottom=True)
    return axes[:panels]


def columns_of(panels: int) -> int:
    """Up to three in a row; four are two by two."""
    return 2 if panels == 4 else min(panels, 3)


def head_grid(axes: NDArray, titles: Sequence[str], names: Sequence[str]) -> None:
    """Titles above the columns and names beside the rows of a grid; panels without data go.

    Called when everything is drawn: what stands first in its row or column then carries the words
    and the tick labels.
    """
    drawn = np.vectorize(lambda axis: axis.has_data(), otypes=[bool])(axes)
    for row, has, name in zip(axes, drawn, names, strict=True):
        for first in row[has][:1]:
            first.set_ylabel(name)
            first.tick_params(labelleft=True)
    for column, has, title in zip(axes.T, drawn.T, titles, strict=True):
        for first in column[has][:1]:
            first.set_title(title)
        for last in column[has][-1:]:
            last.tick_params(labelbottom=True)
    for axis in axes[~drawn]:
        axis.remove()


DOTS = -1  # zorder of the dots of single measurements: behind the grid


def dots_as_picture(axis: Axes, count: int) -> None:
    """Of thousands of dots a PDF gets one picture per panel.

    Not one for each group of dots: each would take the memory of the whole page while it is drawn.
    """
    if count > 2000:
        axis.set_rasterization_zorder(0)


NAME_WIDTH = 1.15  # inches that a method's name of 13 letters takes in a legend


def top_legend(figure: Figure) -> None:
    """One legend above all panels, each name once."""
    named: dict[str, object] = {}
    for axis in figure.axes:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(text, handle)
    longest = max(map(len, named), default=0)
    width = NAME_WIDTH + 0.055 * max(longest - 13, 0)
    columns = max(int(figure.get_figwidth() / width), 1)
    figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=columns)


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
