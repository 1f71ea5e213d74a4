"""How often equal methods are told apart, and better ones found, by design and world: simulated.

A family is 20 methods against the baseline with 20 test cases, judged by `analysis/families.py` as
tables and report are (Dice points, margin 2). `told apart`: the share of families of equal methods
in which any is called better or worse. `found`: how often a method whose gain is 5 or 10 is called
better, the other 19 being equal. Coverage and width are of the 95 % interval.

Worlds: a run differs from another by 3.5 (SD); of `heavy tails` by Student's t with three degrees
of freedom, scaled so. In `one bad subset in six` the baseline loses 45 there, a method a mean of 30
with an SD of 10 of its own, and where the subset is good it is so much worse that the two are equal
in all. In `failing` 3 % of the cells of a run and a case lose 80. The level is read with an error
of 1.5.

Designs: `8`: all on the same 8 drawn subsets. `8 of 40`: two phases, the methods on 8 of the
baseline's 40 that are stratified by its level. `8, 12 of 40`: looks at 8 and at 12. `moderated`:
the mean squares of subsets squeezed towards their common value, as limma does (Smyth, Stat. Appl.
Genet. Mol. Biol. 2004); the project does not do so, and this is why.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import show
from ssl_methods.analysis import families
from ssl_methods.analysis.components import LEVEL, Table
from ssl_methods.analysis.designs import nominal_levels
from ssl_methods.analysis.families import Judged, Paired, judge
from ssl_methods.data.compared import stratified_order

METHODS, CASES, MARGIN = 20, 20, 2.0
RUN_SD, LEVEL_ERROR = 3.5, 1.5
GAINS = (5.0, 10.0)


@dataclass(frozen=True)
class World:
    """What runs are drawn from; SDs in Dice points."""

    name: str
    bad: float = 0.0  # share of bad subsets
    tails: float = np.inf  # degrees of freedom
    fails: float = 0.0  # share of cells
    case_sd: float = 0.0  # of a true difference
    rest_sd: float = 0.0

    def draw(
        self, random: np.random.Generator, subsets: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Levels of the baseline (subsets,), gains of equal methods (methods, subsets, cases)."""

        def runs(*shape: int) -> NDArray[np.float64]:
            if np.isinf(self.tails):
                return random.normal(0, RUN_SD, shape)
            scale = RUN_SD / np.sqrt(self.tails / (self.tails - 2))
            return random.standard_t(self.tails, shape) * scale

        def failed(*shape: int) -> NDArray[np.float64]:
            return 80.0 * (random.random(shape) < self.fails)

        bad = random.random(subsets) < self.bad
        baseline = 75 + runs(subsets) - 45 * bad
        own = 75 - 15 * self.bad + runs(METHODS, subsets) - 30 * bad
        own = own + bad * random.normal(0, 10, (METHODS, subsets))
        gains = (own - baseline)[..., np.newaxis] + np.zeros(CASES)
        gains = gains + random.normal(0, self.case_sd, (METHODS, 1, CASES))
        gains = gains + random.normal(0, self.rest_sd, gains.shape)
        if self.fails:
            gains = gains - failed(*gains.shape) + failed(subsets, CASES)
        return baseline, gains


WORLDS = (
    World("run noise"),
    World("run noise, cases differ", case_sd=3, rest_sd=8),
    World("heavy tails", tails=3),
    World("failing", fails=0.03),
    World("one bad subset in six", bad=1 / 6),
)


@dataclass(frozen=True)
class Design:
    """How many subsets are compared at each look, of how many of the baseline (None: one phase)."""

    looks: tuple[int, ...]
    baseline: int | None = None
    moderated: bool = False

    @property
    def name(self) -> str:
        compared = ", ".join(map(str, self.looks))
        phases = f" of {self.baseline}" if self.baseline else ""
        return compared + phases + ", moderated" * self.moderated


DESIGNS = (
    Design((8,)),
    Design((12,)),
    Design((8,), 40),
    Design((12,), 40),
    Design((8, 12), 40),
    Design((8,), 40, moderated=True),
)


def judged(
    levels: NDArray[np.float64], gains: NDArray[np.float64], design: Design, order: Sequence[int]
) -> dict[str, Judged]:
    """The family at the look at which all is decided, or the last."""
    found: dict[str, Judged] = {}
    for look, level in zip(design.looks, nominal_levels(design.looks), strict=True):
        chosen = [*order[:look]]
        known = None
        if design.baseline:
            known = dict(enumerate(levels.tolist()))
        family = {
            str(name): Paired(of[chosen], chosen, known, level if len(design.looks) > 1 else LEVEL)
            for name, of in enumerate(gains)
        }
        found = judge(family, len(gains), MARGIN)
        if families.decided(found.values()):
            break
    return found


def measure(world: World, design: Design, count: int, seed: int = 0) -> dict[str, Any]:
    """One row: error, coverage, width and power over ``count`` families."""
    random = np.random.default_rng(seed)
    apart, inside, widths = 0, [], []
    power: dict[float, list[bool]] = {gain: [] for gain in GAINS}
    for _ in range(count):
        levels, gains = world.draw(random, design.baseline or max(design.looks))
        read = levels + random.normal(0, LEVEL_ERROR, len(levels))
        order: Sequence[int] = range(max(design.looks))
        if design.baseline:
            order = stratified_order(dict(enumerate(read.tolist())), design.looks)
        with patch.object(families, "_tables", moderated_tables if design.moderated else plain):
            equal = judged(read, gains, design, order).values()
            for gain, found in power.items():
                better = gains.copy()
                better[0] += gain
                found.append(judged(read, better, design, order)["0"].verdict == "better")
        apart += any(it.verdict in ("better", "worse") for it in equal)
        inside += [it.gain.low <= 0 <= it.gain.high for it in equal]
        widths += [it.gain.high - it.gain.low for it in equal]
    return {
        "world": world.name,
        "subsets": design.name,
        "families": count,
        "told apart": apart / count,
        "coverage": float(np.mean(inside)),
        "width": float(np.mean(widths)),
        **{f"found +{gain:g}": float(np.mean(found)) for gain, found in power.items()},
    }


# ---- moderation, which is not in the product -----------------------------------------------------

plain: Callable[..., dict[str, Table]] = families._tables


def moderated_tables(family: dict[str, Paired]) -> dict[str, Table]:
    """The tables of a family with their subset mean squares squeezed towards the common one."""
    tables = plain(family)
    return dict(zip(tables, moderated([*tables.values()]), strict=True))


def moderated(tables: Sequence[Table]) -> list[Table]:
    """The tables with their subset mean squares squeezed towards the common one of all.

    limma's ``squeezeVar``: the prior's degrees of freedom and scale are those under which the logs
    of the mean squares would vary as they do. Fewer than three tables are returned as they are.
    """
    from scipy import special

    if len(tables) < 3:
        return list(tables)
    squares = np.array([it.ms_subset for it in tables])
    freedom = np.array([it.subset_freedom for it in tables])
    squares = np.maximum(squares, 1e-5 * np.median(squares))
    if not (squares > 0).all() or not (freedom > 0).all():
        return list(tables)
    logs = np.log(squares) - special.digamma(freedom / 2) + np.log(freedom / 2)
    centre = logs.mean()
    excess = logs.var(ddof=1) - special.polygamma(1, freedom / 2).mean()
    if excess > 0:
        prior = 2 * inverse_trigamma(float(excess))
        scale = np.exp(centre + special.digamma(prior / 2) - np.log(prior / 2))
        posterior_freedom = np.minimum(freedom + prior, freedom.sum())
        squeezed = (prior * scale + freedom * squares) / (prior + freedom)
    else:  # they vary no more than chance makes them: one common value
        posterior_freedom = np.full(len(tables), freedom.sum())
        squeezed = np.full(len(tables), squares.mean())
    return [
        replace(it, ms_subset=float(square), subset_freedom=float(df))
        for it, square, df in zip(tables, squeezed, posterior_freedom, strict=True)
    ]


def inverse_trigamma(value: float) -> float:
    """y with trigamma(y) = value."""
    from scipy import optimize, special

    return float(optimize.brentq(lambda y: special.polygamma(1, y) - value, 1e-8, 1e8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--families", type=int, default=500, help="simulated in each cell")
    options = parser.parse_args()
    rows = [measure(world, design, options.families) for world in WORLDS for design in DESIGNS]
    show(rows, options.json)


if __name__ == "__main__":
    main()
