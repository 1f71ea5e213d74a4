"""Every figure of the page: its name, its caption, how it is drawn from what was found."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ssl_methods.analysis.records import read_slice
from ssl_methods.analysis.tables import overall
from ssl_methods.config import Run, budget_text
from ssl_methods.reporting.figures import level_sets, results, training
from ssl_methods.reporting.found import Results
from ssl_methods.reporting.overlays import Slice, best_median_worst, overlays
from ssl_methods.reporting.style import MANY, RC, NothingToShow, label, save

FIRST = 6  # of many methods, those whose overlays need no click
NEXT = 30  # of the rest, those whose overlays are drawn: each takes room on the page
NO_SLICES = "no run has a slices.npz that can be read"
PIXELS_PER_INCH = 125  # on the page: text of figures as large as text of tables


class Drawing(NamedTuple):
    """A figure to draw: its file name, its caption, how it is made.

    ``folded``: on the page it is opened with a click, and not missed if there is none.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]
    folded: bool = False


class Shown(NamedTuple):
    """A figure on the page: its picture as data URI and width in pixels, or why there is none."""

    name: str
    caption: str
    picture: str
    width: int
    reason: str
    folded: bool = False
    undrawn: str = ""  # characters that no installed font draws


def draw(drawing: Drawing, folder: Path) -> Shown:
    """Make and save one figure. If its data are absent, an old one of that name is removed."""
    try:
        with mpl.rc_context(RC):
            figure = drawing.draw()
    except NothingToShow as reason:
        for suffix in ("pdf", "png"):
            (folder / f"{drawing.name}.{suffix}").unlink(missing_ok=True)
        return Shown(drawing.name, drawing.caption, "", 0, str(reason), drawing.folded)
    undrawn = save(figure, folder, drawing.name)
    data = base64.b64encode((folder / f"{drawing.name}.png").read_bytes()).decode()
    width = round(figure.get_figwidth() * PIXELS_PER_INCH)
    picture = f"data:image/png;base64,{data}"
    return Shown(drawing.name, drawing.caption, picture, width, "", drawing.folded, undrawn)


def drawings(found: Results) -> list[Drawing]:
    """Every figure, in the order of the page; the first is its main figure."""
    history, example, baseline = found.history(), found.example(), found.experiment.baseline
    many = found.summary["method"].nunique() > MANY
    return [
        Drawing(
            "dice_vs_budget",
            "Mean Dice of every method. Bars: 95 % intervals over labeled subsets and test cases. "
            f"Small dots: single runs. Thin line: the mean of {baseline}. An arrow with a number: "
            "a mean beyond the axis."
            if many
            else "Mean Dice against the number of labeled cases. Bars and bands: 95 % intervals "
            "over labeled subsets and test cases. Small dots: single runs. Methods are set side by "
            "side so that they do not hide one another.",
            lambda: results.dice_vs_budget(found.summary, found.runs, baseline),
        ),
        Drawing(
            "metric_distributions",
            "Every measurement behind the means: one dot per test case and run. Boxes: quartiles "
            "and median; whiskers: 5th to 95th percentile. Distances: linear to 1, logarithmic "
            "above. An empty prediction lies at the volume's diagonal."
            + " An arrow with a number: a median beyond the axis."
            * many,
            lambda: results.metric_distributions(found.cases),
        ),
        Drawing(
            "time_vs_dice",
            "Mean Dice against the training time of one run."
            + ("" if many else " Bars: 95 % intervals."),
            lambda: results.time_vs_dice(found.summary),
        ),
        Drawing("overlays", overlay_caption(found), lambda: draw_overlays(found)),
        Drawing(
            "overlays_others",
            others_caption(found),
            lambda: draw_overlays(found, others=True),
            folded=True,
        ),
        Drawing(
            "training_curves",
            "Loss and its terms (before their weights) while training, with the fewest labels: "
            "means over runs, each a running mean over a twentieth of the run. Terms of a method's "
            "own are named in its panel. The other budgets: history.csv of each run."
            if many
            else "Loss and its terms (before their weights) while training: mean over runs and "
            "their range, each a running mean over a twentieth of the run. Validation Dice, where "
            "there is one, is not smoothed.",
            lambda: training.training_curves(history),
        ),
        Drawing(
            "lambda_warmup",
            "Weight of the unlabeled term: the paper's formula, its released form in 40 steps, "
            "and what the runs recorded. Each run's weight is divided by its largest, so that "
            "methods of different weights can be compared.",
            lambda: training.lambda_warmup(history),
        ),
        Drawing(
            "inverse_transform",
            "The smooth inverse T⁻¹(z) = sigmoid(-k z). Grey: level-set values within one voxel "
            "of the contour, in the example below. Where the curve is flat, the consistency loss "
            "passes no gradient to the level set.",
            lambda: level_sets.inverse_transform(example[1] if example else None),
        ),
        Drawing(
            "level_set_panel",
            "A test case: image, label, its signed distance map (negative inside, inside and "
            "outside each scaled to 1 on the whole volume; black: 0) and T⁻¹ with the paper's k.",
            lambda: level_sets.level_set_panel(*present(example)),
        ),
    ]


def present(example: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
    if example is None:
        raise NothingToShow("there are no prepared data, or no test case with foreground")
    return example


def draw_overlays(found: Results, others: bool = False) -> Figure:
    """Of many methods the first few, or (``others``) those that these leave."""
    runs = found.overlay_runs
    if not runs:
        raise NothingToShow(NO_SLICES)
    cases = overall(found.cases)
    dice = pd.DataFrame({run.name: _dice(cases, run) for run in runs}).T
    chosen = best_median_worst(dice.loc[_chooser(found, runs)])
    first = _first(runs)
    drawn = runs[len(first) : len(first) + NEXT] if others else first
    if not drawn:
        raise NothingToShow("every method is shown")
    slices = {}
    for run in drawn:
        wanted = found.slices(run), list(chosen.values())
        own = found.unless_damaged(_slices, *wanted, otherwise=None)
        if own:
            slices[run.name] = own
    if not slices:
        raise NothingToShow(NO_SLICES)
    return overlays(slices, dice, chosen, abreast=2 if others else 1)


def _first(runs: list[Run]) -> list[Run]:
    """Those whose overlays are shown at once: all, or of many the first few as declared."""
    return runs if len(runs) <= MANY else runs[:FIRST]


def _dice(cases: pd.DataFrame, run: Run) -> pd.Series:
    own = cases["method"].eq(run.name) & cases["budget"].eq(budget_text(run.budget))
    return cases[own & cases["subset"].eq(run.subset) & cases["seed"].eq(run.seed)].set_index(
        "case"
    )["dice"]


def _chooser(found: Results, runs: list[Run]) -> str:
    """Whose Dice ranks the cases: the baseline's, or the first method's."""
    names = [run.name for run in runs]
    return found.experiment.baseline if found.experiment.baseline in names else names[0]


def _slices(path: Path, cases: list[str]) -> dict[str, Slice]:
    return {case: Slice(*read_slice(path, case)) for case in cases}


def others_caption(found: Results) -> str:
    runs = found.overlay_runs
    rest = len(runs) - len(_first(runs))
    return f"The same test cases for the {'other' if rest <= NEXT else f'next {NEXT}'} methods."


def overlay_caption(found: Results) -> str:
    runs = found.overlay_runs
    if not runs:
        return "Predictions of the best, the median and the worst test case."
    chooser = _chooser(found, runs)
    whom = "for every method" if _first(runs) == runs else f"for the first {FIRST} methods"
    return (
        f"The best, the median and the worst test case of {chooser} by Dice, and the same cases "
        f"{whom}: the slice with most foreground. Above each panel: Dice of the whole case. "
        f"{whose(runs)}"
    )


def whose(runs: list[Run]) -> str:
    """Which run of each method the pictures are of."""
    cells = {(run.subset, run.seed) for run in runs}
    text = f"Of each method the run with the median Dice at budget {budget_text(runs[0].budget)}"
    if len(cells) == 1:
        return f"{text}: subset {runs[0].subset}, seed {runs[0].seed}."
    if len(runs) > MANY:
        return f"{text}."
    named = [f"{label(run.name)} subset {run.subset}, seed {run.seed}" for run in runs]
    return f"{text}: {'; '.join(named)}."
