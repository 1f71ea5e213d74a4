"""Generated tissue: how much hematoxylin and eosin lie at each pixel of a slide.

A gland is a ring of cells around a lumen, in fibrous stroma. Cells in clusters and holes in the
stroma look like parts of a gland and are none. Lengths are in pixels of about 2 um.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssl_methods.data.phantoms.fields import Field, inside, smooth_field, union

Axes = Sequence[Field]  # one open grid per axis


def tissue(
    rng: Generator, shape: tuple[int, int], difficulty: float
) -> tuple[Field, NDArray[np.bool_]]:
    """Amounts of hematoxylin and eosin, float32 (2, x, y), and where the glands are, (x, y)."""
    axes = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij", sparse=True)
    glands = [outline(rng, axes, shape, *place) for place in gland_places(rng, shape, difficulty)]
    rings = [distance for distance, _ in glands]
    gland = union(rings) if rings else np.full(shape, np.inf, np.float32)
    lumen = union([inner for _, inner in glands]) if glands else gland

    fibres = smooth_field(rng, shape, 2.2) + smooth_field(rng, shape, 7)
    eosin = 0.42 + 0.13 * fibres + 0.1 * smooth_field(rng, shape, 20)
    hematoxylin = 0.10 + 0.02 * smooth_field(rng, shape, 3)
    for hole in holes(rng, axes, shape, difficulty):
        eosin, hematoxylin = (part * (1 - inside(hole)) for part in (eosin, hematoxylin))

    cells = inside(gland)
    cytoplasm = 0.45 + 0.05 * smooth_field(rng, shape, 3)
    pale = difficulty * 0.2 * smooth_field(rng, shape, 25)
    eosin += (cytoplasm + pale - eosin) * cells
    hematoxylin += (0.30 + pale - hematoxylin) * cells
    gap = inside(np.abs(gland - 1.0) - 0.4)  # the cleft between a gland and its stroma
    eosin, hematoxylin = eosin * (1 - 0.5 * gap), hematoxylin * (1 - 0.3 * gap)
    secretion = rng.uniform(0, 0.5) * difficulty
    eosin += (secretion * 0.5 - eosin) * inside(lumen)
    hematoxylin += (0.02 - hematoxylin) * inside(lumen)

    nucleus, dark = nuclei(rng, shape, gland, lumen, difficulty)
    hematoxylin += (dark - hematoxylin) * nucleus
    eosin += (0.2 - eosin) * nucleus
    chromatin = 1 + 0.15 * smooth_field(rng, shape, 1.5)
    amounts = np.stack([hematoxylin * chromatin, eosin]).clip(0).astype(np.float32)
    return amounts, gland < 0


def gland_places(
    rng: Generator, shape: tuple[int, int], difficulty: float
) -> list[tuple[NDArray[np.float64], float]]:
    """Centres and radii in pixels of glands that do not touch."""
    places: list[tuple[NDArray[np.float64], float]] = []
    wanted = max(1, round(np.prod(shape) / 2600))
    for _ in range(40 * wanted):
        radius = 17 * (1 + 0.3 * rng.uniform(-1, 1) * (0.3 + difficulty))
        centre = rng.uniform(-0.3 * radius, np.array(shape) + 0.3 * radius)
        apart = [np.linalg.norm(centre - c) - r - radius for c, r in places]
        if min(apart, default=np.inf) > 5 and len(places) < wanted:
            places.append((centre, radius))
    return places


def outline(
    rng: Generator,
    axes: Axes,
    shape: tuple[int, int],
    centre: NDArray[np.float64],
    radius: float,
) -> tuple[Field, Field]:
    """Signed distances in pixels, nearly, of a wavy ellipse and of the lumen within."""
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.8, 1.0)
    x, y = (axis - np.float32(at) for axis, at in zip(axes, centre, strict=True))
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance = np.hypot(along, across / squeeze).astype(np.float32)
    angle = np.arctan2(across, along)
    for waves in (2, 3, 5):
        distance += radius * 0.12 / waves * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    distance -= np.float32(radius)
    wall = rng.uniform(7.5, 10)
    frayed = 0.8 * smooth_field(rng, shape, 3)
    return distance.astype(np.float32), (distance + wall + frayed).astype(np.float32)


def holes(rng: Generator, axes: Axes, shape: tuple[int, int], difficulty: float) -> list[Field]:
    """Signed distances of vessels and tears: as white as a lumen, and no gland."""
    found = []
    for _ in range(rng.poisson(0.5 + 3 * difficulty)):
        centre = rng.uniform(0, np.array(shape))
        found.append(
            ellipse(axes, centre, rng.uniform(2.5, 8), rng.uniform(0.3, 0.9), rng.uniform(0, np.pi))
        )
    return found


def nuclei(
    rng: Generator, shape: tuple[int, int], gland: Field, lumen: Field, difficulty: float
) -> tuple[Field, Field]:
    """How much of each pixel a nucleus fills, and that nucleus's amount of hematoxylin.

    In a gland they stand in a row near its rim; in the stroma they are thin and scattered, or round
    and in clusters.
    """
    filled, darkness = np.zeros((2, *shape), np.float32)
    centres: list[NDArray[np.float64]] = []

    def add(centre: NDArray[np.float64], radius: float, ratio: float, turn: float) -> None:
        """Unless it would lie on another."""
        if centres and np.hypot(*(np.array(centres) - centre).T).min() < 1.5 * radius * ratio**0.5:
            return
        centres.append(centre)
        low = np.maximum(0, centre - radius - 2).astype(int)
        part = tuple(slice(start, start + 2 * int(radius + 3)) for start in low)
        x, y = (np.arange(n, dtype=np.float32)[span] for n, span in zip(shape, part, strict=True))
        nucleus = inside(ellipse([x[:, np.newaxis], y], centre, radius, ratio, turn))
        dark = 1.05 + 0.25 * rng.uniform(-1, 1) * (0.4 + difficulty)
        darkness[part] = np.where(nucleus > filled[part], dark, darkness[part])
        filled[part] = np.maximum(nucleus, filled[part])

    slope = np.array(np.gradient(gland))
    rim = np.argwhere((gland < -2.2) & (gland > -5.5) & (lumen > 1.5))
    for point in rng.permutation(rim)[: len(rim) // 5]:
        outward = np.arctan2(slope[1][tuple(point)], slope[0][tuple(point)])
        add(point.astype(float), rng.uniform(2.5, 3.2), 0.65, outward)
    stroma = np.argwhere(gland > 3)
    flow = smooth_field(rng, shape, 25)
    for point in rng.permutation(stroma)[: len(stroma) // 110]:
        turn = 1.5 * flow[tuple(point)] + 0.3 * rng.standard_normal()
        add(point.astype(float), rng.uniform(2.5, 4.5), 0.35, turn)
    for _ in range(rng.poisson(2 * difficulty) if len(stroma) else 0):
        heart = stroma[rng.integers(len(stroma))]
        for point in heart + rng.normal(0, 6, (25, 2)):
            near = np.clip(np.rint(point), 0, np.array(shape) - 1).astype(int)
            if gland[tuple(near)] > 3:
                add(near.astype(float), rng.uniform(1.8, 2.4), 0.95, 0.0)
    return filled, darkness


def ellipse(
    axes: Axes, centre: NDArray[np.float64], radius: float, ratio: float, turn: float
) -> Field:
    """Signed distance in pixels, nearly: ``radius`` along ``turn``, ``ratio`` of it across."""
    x, y = (axis - np.float32(at) for axis, at in zip(axes, centre, strict=True))
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance: Field = (np.hypot(along, across / ratio) - radius).astype(np.float32) * np.float32(
        ratio
    )
    return distance
