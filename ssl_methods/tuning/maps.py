"""Where good settings lie: a map of two of them, and a slice along each.

Of a search the surface is that of ``surrogate.py``; settings that are not shown stand at the best
trial's. Of a grid the values are plain means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ssl_methods.analysis.names import label
from ssl_methods.reporting.figures.base import NothingToShow
from ssl_methods.reporting.looks import looks
from ssl_methods.reporting.panels import heat_map
from ssl_methods.reporting.style import DOUBLE, SINGLE
from ssl_methods.tuning.space import Space
from ssl_methods.tuning.surrogate import Surrogate

Floats = NDArray[np.float64]
FEWEST = 6  # completed trials for a surface
DEFAULT = {"marker": "*", "markersize": 10, "markerfacecolor": "white", "markeredgecolor": "black"}
BEST = {"marker": "D", "markersize": 5.5, "markerfacecolor": "none", "markeredgecolor": "black"}


TITLES = {
    "k": "k",
    "weight": "lambda, largest",
    "beta": "beta",
    "ramp_fraction": "ramp length (fraction of the run)",
    "decay": "EMA decay",
    "dice_weight": "weight of the Dice loss",
    "together": "settings together",
    "subset": "labeled subset",
    "seed": "seed",
    "rest": "rest",
}


def title(setting: str) -> str:
    """A setting as figures name it."""
    return TITLES.get(setting, setting.replace("_", " "))


def numeric(space: Space) -> list[str]:
    """Settings that can be an axis; k and the weight, which every study is about, first."""
    found = [
        name for name, it in space.items() if isinstance(it, FloatDistribution | IntDistribution)
    ]
    return sorted(
        found, key=lambda name: ["k", "weight"].index(name) if name in ("k", "weight") else 2
    )


def is_log(space: Space, name: str) -> bool:
    it = space[name]
    return isinstance(it, FloatDistribution | IntDistribution) and it.log


def logarithmic(axis: Axes, along: str) -> None:
    """Decades as plain numbers: formulas are not set in figures (style.py)."""
    axis.set(**{f"{along}scale": "log"})
    ticks = axis.xaxis if along == "x" else axis.yaxis
    ticks.set_major_formatter("{x:g}")
    ticks.set_minor_formatter(NullFormatter())


def to_unit(space: Space, name: str, values: Any) -> Floats:
    """Values of a setting on 0..1, logarithmic where its range is."""
    it = space[name]
    assert isinstance(it, FloatDistribution | IntDistribution)
    scale = np.log if it.log else np.asarray
    low, high, at = scale(it.low), scale(it.high), scale(np.asarray(values, float))
    return np.asarray((at - low) / (high - low), float)


def from_unit(space: Space, name: str, at: Floats) -> Floats:
    it = space[name]
    assert isinstance(it, FloatDistribution | IntDistribution)
    if it.log:
        return np.asarray(it.low * (it.high / it.low) ** at, float)
    return np.asarray(it.low + (it.high - it.low) * at, float)


def fitted(done: pd.DataFrame, space: Space, names: list[str]) -> Surrogate:
    points = np.column_stack([to_unit(space, name, done[name]) for name in names])
    return Surrogate(points, done["validation_dice"].to_numpy(float) * 100)


def map_figure(trials: pd.DataFrame, space: Space, method: str) -> Figure:
    """Validation Dice over two settings, the default (star) and the best (diamond) marked."""
    done = trials[trials["state"] == "complete"]
    if all(isinstance(it, CategoricalDistribution) for it in space.values()):
        return _grid_map(done, space, method)
    names = numeric(space)
    if len(names) < 2 or len(done) < FEWEST:
        raise NothingToShow("needs two settings and six completed trials")
    x, y, best = names[0], names[1], done.loc[done["validation_dice"].idxmax()]
    side = np.linspace(0, 1, 61)
    at = {name: np.full(61 * 61, to_unit(space, name, [best[name]])[0]) for name in names}
    at[x], at[y] = (part.ravel() for part in np.meshgrid(side, side))
    mean, _ = fitted(done, space, names).predict(np.column_stack([at[name] for name in names]))
    figure = Figure(figsize=(SINGLE * 1.2, 3.1))
    axis = figure.subplots()
    seen = done["validation_dice"] * 100
    limits = {"vmin": min(mean.min(), seen.min()), "vmax": max(mean.max(), seen.max())}
    across, up = from_unit(space, x, side), from_unit(space, y, side)
    surface = axis.contourf(across, up, mean.reshape(61, 61), 14, cmap="viridis", **limits)
    surface.set_edgecolor("face")
    dots = {"c": seen, "cmap": "viridis", "s": 22, "edgecolors": "white", "linewidths": 0.6}
    drawn = axis.scatter(done[x], done[y], **dots, **limits, zorder=3)
    pruned = trials[trials["state"] == "pruned"]
    if len(pruned):
        axis.plot(
            pruned[x], pruned[y], "X", markersize=4, label="pruned",
            markerfacecolor="white", markeredgecolor="#555555", markeredgewidth=0.5,
        )  # fmt: skip
    _mark(axis, done, best, x, y)
    for name, along in ((x, "x"), (y, "y")):
        if is_log(space, name):
            logarithmic(axis, along)
    axis.set(xlabel=title(x), ylabel=title(y), title=label(method))
    axis.grid(visible=False)
    figure.colorbar(drawn, ax=axis, label="validation Dice (%)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _mark(axis: Axes, done: pd.DataFrame, best: pd.Series, x: str, y: str) -> None:
    axis.plot(best[x], best[y], linestyle="none", label="best", zorder=4, **BEST)
    default = done[done["default"].astype(bool)]
    axis.plot(default[x], default[y], linestyle="none", label="default", zorder=5, **DEFAULT)


def _grid_map(done: pd.DataFrame, space: Space, method: str) -> Figure:
    names = sorted(
        space, key=lambda name: ["k", "weight"].index(name) if name in ("k", "weight") else 2
    )
    if len(names) < 2:
        raise NothingToShow("one setting is no map")
    x, y = names[:2]
    table = done.pivot_table(index=y, columns=x, values="validation_dice") * 100
    figure = Figure(figsize=(1.4 + 0.62 * len(table.columns), 1.3 + 0.42 * len(table)))
    axis = figure.subplots()
    rows, columns = ([f"{value:g}" for value in it] for it in (table.index, table.columns))
    scale = {"label": "validation Dice (%)"}
    heat_map(axis, table, rows, columns, cmap="viridis", fmt=".1f", cbar_kws=scale)
    axis.invert_yaxis()  # as an axis: small values below
    for row, look, name in zip(_marked(done), (BEST, DEFAULT), ("best", "default"), strict=False):
        at = list(table.columns).index(row[x]) + 0.5, list(table.index).index(row[y]) + 0.2
        mark: dict[str, Any] = {**look, "linestyle": "none", "label": name}
        axis.plot(*at, **mark)
    figure.legend(loc="outside lower center", ncols=2)
    axis.tick_params(labelrotation=0)
    axis.set(xlabel=title(x), ylabel=title(y), title=label(method))
    return figure


def _marked(done: pd.DataFrame) -> list[pd.Series]:
    """The best trial, and the default's if it is among them."""
    best = done.loc[done["validation_dice"].idxmax()]
    return [best, *(row for _, row in _default(done))]


def slices_figure(trials: pd.DataFrame, runs: pd.DataFrame, space: Space, method: str) -> Figure:
    """Validation Dice along each setting, with 95 % bands."""
    done = trials[trials["state"] == "complete"]
    columns = min(len(space), 3)
    rows = -(-len(space) // columns)
    size = (min(DOUBLE, max(SINGLE, 2.4 * columns)), 2.3 * rows)
    figure = Figure(figsize=size)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    colour = looks([method])[method].colour
    names = numeric(space)
    surface = fitted(done, space, names) if names and len(done) >= FEWEST else None
    for axis, name in zip(axes.flat, space, strict=False):
        if isinstance(space[name], CategoricalDistribution):
            _levels(axis, done, runs, name, colour)
        else:
            _slice(axis, done, space, names, name, surface, colour)
        axis.set_xlabel(title(name))
    for axis in list(axes.flat)[len(space) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set_ylabel("validation Dice (%)")
    figure.suptitle(label(method), fontsize=8)
    return figure


def _slice(
    axis: Axes,
    done: pd.DataFrame,
    space: Space,
    names: list[str],
    name: str,
    surface: Surrogate | None,
    colour: str,
) -> None:
    """The surface along one setting, the others at the best trial's; the trials as dots."""
    axis.plot(done[name], done["validation_dice"] * 100, ".", color="#999999", markersize=3)
    best = done.loc[done["validation_dice"].idxmax()]
    if surface is not None:
        side = np.linspace(0, 1, 81)
        at = {other: np.full(81, to_unit(space, other, [best[other]])[0]) for other in names}
        at[name] = side
        mean, spread = surface.predict(np.column_stack([at[other] for other in names]))
        across = from_unit(space, name, side)
        axis.plot(across, mean, color=colour)
        low, high = mean - 1.96 * spread, mean + 1.96 * spread
        axis.fill_between(across, low, high, color=colour, alpha=0.18, linewidth=0)
    if is_log(space, name):
        logarithmic(axis, "x")
    for row, look in ((best, BEST), *((it, DEFAULT) for _, it in _default(done))):
        axis.plot(row[name], row["validation_dice"] * 100, linestyle="none", zorder=4, **look)


def _default(done: pd.DataFrame) -> list[tuple[Any, pd.Series]]:
    return list(done[done["default"].astype(bool)].iterrows())


def _levels(axis: Axes, done: pd.DataFrame, runs: pd.DataFrame, name: str, colour: str) -> None:
    """Mean at each level of a grid or choice; t intervals over subsets (or seeds, of one subset),
    a dot for each."""
    from scipy import stats

    joined = runs.merge(done[["trial", name]], on="trial")
    unit = "subset" if joined["subset"].nunique() > 1 else "seed"
    levels = sorted(joined[name].unique(), key=lambda it: (isinstance(it, str), it))
    for place, level in enumerate(levels):
        own = joined[joined[name] == level].groupby(unit)["dice"].mean() * 100
        axis.plot(np.full(len(own), place + 0.15), own, ".", color="#999999", markersize=3)
        mean = own.mean()
        if len(own) > 1:
            half = stats.t.ppf(0.975, len(own) - 1) * own.std(ddof=1) / len(own) ** 0.5
            axis.errorbar(place, mean, half, color=colour, elinewidth=1, capsize=2)
        axis.plot(place, mean, "o", color=colour, markeredgecolor="white")
    texts = [f"{level:g}" if isinstance(level, int | float) else str(level) for level in levels]
    axis.set_xticks(range(len(levels)), texts)
    axis.set_xlim(-0.5, len(levels) - 0.5)
