"""How much of the spread of a grid is each setting, the labeled subset, the seed.

A balanced table: every combination of G settings on every subset, and on R seeds within it. With
fixed settings and random subsets and seeds,

    y = mean + settings + their joint effect + subset + seed(subset) + rest,

which is the model of ``analysis.variance`` with combinations in the place of cases, estimated in
the same way (the tests recover simulated parts and compare the squares with statsmodels). For C
combinations, a setting of L levels, S subsets:

    E[MS rest]     = rest                        E[MS seed]   = rest + C seed
    E[MS setting]  = rest + (C S R / L) setting  E[MS subset] = rest + C seed + C R subset
    E[MS together] = rest + S R together

'Together' is what settings do jointly beyond what each does alone. 'Rest' is that a combination
suits some runs more than others, and noise. An estimate below 0 counts as 0.

The 95 % intervals of the shares are a parametric bootstrap: tables are simulated from the estimated
parts and estimated again. With few subsets they are wide, as they should be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_methods.analysis.variance import parts_of_runs

Floats = NDArray[np.float64]

COLUMNS = [
    "method", "source", "freedom", "mean_square", "f", "p_value",
    "variance", "share", "low", "high", "not_known",
]  # fmt: skip


def variance_table(runs: pd.DataFrame, trials: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Per method and source: mean square, F test, part of the variance, share and its interval.

    Args:
        runs: columns ``method, trial, subset, seed, dice``.
        trials: columns ``method, trial`` and the settings.
        settings: those of the grid.
    """
    rows = []
    for method, own in runs.groupby("method", sort=False):
        declared = trials[trials["method"] == method]
        table = grid_table(own, declared, settings)
        if table is None:
            why = "everything: not every combination was completed"
            rows.append({"method": method, "source": "rest", "not_known": why})
            continue
        rows += [{"method": method, **row} for row in analyse(table, settings)]
    return pd.DataFrame(rows, columns=COLUMNS)


def grid_table(runs: pd.DataFrame, trials: pd.DataFrame, settings: list[str]) -> Floats | None:
    """(levels of each setting ..., subsets, seeds); None if a combination is missing."""
    joined = runs.merge(trials[["trial", *settings]], on="trial")
    keys = [*settings, "subset", "seed"]
    shape = tuple(trials[name].nunique() for name in settings)
    shape += (runs["subset"].nunique(), runs["seed"].nunique())
    if len(joined) != np.prod(shape):
        return None
    return joined.sort_values(keys)["dice"].to_numpy(float).reshape(shape)


def analyse(table: Floats, settings: Sequence[str], replicates: int = 2000) -> list[dict]:
    """The rows of one method, from (levels ..., subsets, seeds)."""
    from scipy import stats

    squares, freedom = mean_squares(table[None], len(settings))
    parts = components(squares, table.shape)
    names = [*settings, *(["together"] if len(settings) > 1 else []), "subset", "seed", "rest"]
    known = [name for name in names if freedom[_plain(name, settings)] > 0]
    shares = _shares(parts, known, settings)
    simulated, _ = mean_squares(_simulate(table, parts, replicates), len(settings))
    spread = _shares(components(simulated, table.shape), known, settings)
    rows = []
    for name in names:
        key = _plain(name, settings)
        error = "seed" if name == "subset" and freedom["seed"] > 0 else "rest"
        row = {"source": name, "freedom": freedom[key], "not_known": ""}
        if name not in known:
            one = "one seed per subset: its part is in 'subset'"
            rows.append(row | {"not_known": one if name == "seed" else f"there is one {name}"})
            continue
        row |= {
            "mean_square": squares[key][0],
            "variance": parts[key][0],
            "share": shares[name][0],
            "low": np.nanquantile(spread[name], 0.025),
            "high": np.nanquantile(spread[name], 0.975),
        }
        if name != "rest" and freedom[error] > 0 and squares[error][0] > 0:
            ratio = float(squares[key][0] / squares[error][0])
            row["f"], row["p_value"] = ratio, float(stats.f.sf(ratio, freedom[key], freedom[error]))
        rows.append(row)
    return rows


def mean_squares(tables: Floats, settings: int) -> tuple[dict[str, Floats], dict[str, int]]:
    """Mean squares (tables,) and degrees of freedom of each source.

    ``tables``: (tables, levels ..., subsets, seeds). Settings are keyed '0', '1', ...
    """
    shape = tables.shape[1:]
    axes = range(1, len(shape) + 1)
    subset_axis, seed_axis = len(shape) - 1, len(shape)
    mean = tables.mean(axis=tuple(axes), keepdims=True)

    def over(*kept: int) -> Floats:
        return tables.mean(axis=tuple(a for a in axes if a not in kept), keepdims=True)

    combos = int(np.prod(shape[:settings]))
    subsets, seeds = shape[-2:]
    cells, runs = over(*range(1, settings + 1)), over(subset_axis, seed_axis)
    by_subset = over(subset_axis)
    effects: dict[str, tuple[Floats, int]] = {}
    alone = np.zeros_like(mean)
    for i in range(settings):
        effect = over(i + 1) - mean
        alone = alone + effect
        effects[str(i)] = (effect, shape[i] - 1)
    joint = combos - 1 - sum(size - 1 for size in shape[:settings])
    effects["together"] = (cells - mean - alone, joint)
    effects["subset"] = (by_subset - mean, subsets - 1)
    effects["seed"] = (runs - by_subset, subsets * (seeds - 1))
    effects["rest"] = (tables - cells - runs + mean, (combos - 1) * (subsets * seeds - 1))
    total = int(np.prod(shape))
    squares, freedom = {}, {}
    for name, (effect, degrees) in effects.items():
        size = total // int(np.prod(effect.shape[1:]))
        sums = size * (effect**2).sum(axis=tuple(axes))
        squares[name] = sums / degrees if degrees else np.zeros(len(tables))
        freedom[name] = degrees
    return squares, freedom


def components(squares: dict[str, Floats], shape: tuple[int, ...]) -> dict[str, Floats]:
    """The part of each source, from 0 up, keyed as the mean squares."""
    *levels, subsets, seeds = shape
    combos, runs = int(np.prod(levels)), subsets * seeds
    rest, of_seed = squares["rest"], squares["seed"] if seeds > 1 else None
    found = {str(i): (squares[str(i)] - rest) * n / (combos * runs) for i, n in enumerate(levels)}
    found["together"] = (squares["together"] - rest) / runs
    found["seed"] = np.zeros_like(rest)
    found |= parts_of_runs(squares["subset"], of_seed, rest, combos, seeds)
    return {name: np.clip(part, 0, None) for name, part in found.items()} | {"rest": rest}


def _shares(parts: dict[str, Floats], known: list[str], settings: Sequence[str]) -> dict:
    found = {name: parts[_plain(name, settings)] for name in known}
    total = np.sum(list(found.values()), axis=0)
    total = np.where(total > 0, total, np.nan)
    return {name: part / total for name, part in found.items()}


def _plain(name: str, settings: Sequence[str]) -> str:
    return str(list(settings).index(name)) if name in settings else name


def _simulate(table: Floats, parts: dict[str, Floats], replicates: int) -> Floats:
    """Tables of the same design: the parts as estimated, everything random drawn anew."""
    random = np.random.default_rng(0)
    shape = table.shape
    cells = table.mean(axis=(-2, -1), keepdims=True)
    cells = _shrunk(cells, parts, shape)
    runs = (replicates, *np.ones(len(shape) - 2, int), *shape[-2:])
    subset = random.normal(0, parts["subset"][0] ** 0.5, (*runs[:-1], 1))
    seed = random.normal(0, parts["seed"][0] ** 0.5, runs) if shape[-1] > 1 else 0.0
    rest = random.normal(0, parts["rest"][0] ** 0.5, (replicates, *shape))
    return cells + subset + seed + rest


def _shrunk(cells: Floats, parts: dict[str, Floats], shape: tuple[int, ...]) -> Floats:
    """The effects of the settings, scaled to their estimated parts: as they are seen they hold
    noise as well."""
    settings = len(shape) - 2
    mean = cells.mean()
    effects = {
        str(i): cells.mean(axis=tuple(a for a in range(settings) if a != i), keepdims=True) - mean
        for i in range(settings)
    }
    effects["together"] = cells - mean - sum(effects.values())
    found = np.zeros_like(cells)
    for name, effect in effects.items():
        levels = np.array(effect.shape[:settings])
        degrees = levels.prod() - 1
        if name == "together":
            degrees = levels.prod() - 1 - int((levels - 1).sum())
        seen = float((effect**2).sum() / degrees) if degrees > 0 else 0.0
        if seen > 0:
            found = found + effect * (parts[name][0] / seen) ** 0.5
    return found + mean
