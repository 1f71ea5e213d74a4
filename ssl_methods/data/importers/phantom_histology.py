"""Generated tiles of stained tissue: glands in stroma, as five laboratories would show them.

A tile is drawn in two steps. The tissue (``data/tissue.py``) says how much hematoxylin and eosin
lie at each pixel; the laboratory says what colours those have and what its scanner makes of them.
Light that passes two stains is absorbed as Beer and Lambert say: each channel is
``white * exp(-amounts @ vectors)``. Each tile is drawn on its own from (seed, laboratory, split,
index).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray

from ssl_methods.config import PhantomHistologyDataset
from ssl_methods.data.importers import RawCase, Scan, Source
from ssl_methods.data.importers.phantom import Field
from ssl_methods.data.tissue import tissue

PIXEL_MM = 0.002
Triple = tuple[float, float, float]


class Laboratory(NamedTuple):
    """How one laboratory stains and scans."""

    name: str
    hematoxylin: Triple  # optical density in red, green, blue; any length
    eosin: Triple
    strength: tuple[float, float]  # amounts are multiplied by these
    white: Triple  # what the scanner gives where there is nothing, of 255
    blur: float  # standard deviation of the optics, in pixels
    noise: float  # standard deviation, of 255


# Vectors near those in common use for H&E, then turned apart; the last two are tested on alone.
LABORATORIES = (
    Laboratory("A", (0.62, 0.70, 0.36), (0.20, 0.88, 0.43), (1.0, 1.0), (242, 241, 243), 0.6, 2.0),
    Laboratory("B", (0.58, 0.72, 0.38), (0.24, 0.80, 0.55), (0.8, 1.3), (238, 232, 232), 0.7, 3.0),
    Laboratory("C", (0.74, 0.62, 0.26), (0.22, 0.93, 0.30), (1.3, 0.8), (236, 238, 246), 0.9, 3.0),
    Laboratory("D", (0.55, 0.74, 0.39), (0.14, 0.82, 0.56), (0.6, 0.9), (245, 238, 222), 1.1, 4.0),
    Laboratory("E", (0.80, 0.56, 0.21), (0.30, 0.92, 0.24), (1.4, 1.3), (224, 228, 240), 0.8, 4.0),
)
IN_TRAINING = 3


def read(dataset: PhantomHistologyDataset) -> Source:
    """Ids are ``<laboratory>-<split>-<number>``; the one class is the gland, lumen included."""
    cases = []
    for number, laboratory in enumerate(LABORATORIES):
        training = dataset.train_cases if number < IN_TRAINING else 0
        counts = (("train", training), ("test", int(dataset.test_cases or 0)))
        for part, (split, count) in enumerate(counts):
            labeled = split == "test" or number < dataset.labeled_laboratories
            for index in range(count):
                key = (dataset.seed, number, part, index)
                load = partial(
                    generate, dataset.shape, laboratory, dataset.difficulty, labeled, key
                )
                case_id = f"{laboratory.name}-{split}-{index:04d}"
                cases.append(RawCase(case_id, split, labeled, load))  # type: ignore[arg-type]
    return Source(cases, {1: "gland"})


def generate(
    shape: tuple[int, int],
    laboratory: Laboratory,
    difficulty: float,
    labeled: bool,
    key: tuple[int, ...],
) -> Scan:
    """One tile, (3, *shape) of whole numbers in 0..255; equal keys give equal bits."""
    rng = Generator(Philox(SeedSequence(key)))
    amounts, gland = tissue(rng, shape, difficulty)
    image = scan(rng, amounts, towards(laboratory, difficulty))
    return Scan(image, gland.astype(np.uint8) if labeled else None, (PIXEL_MM, PIXEL_MM), None)


# ---- the laboratory ------------------------------------------------------------------------------


def towards(laboratory: Laboratory, difficulty: float) -> Laboratory:
    """All laboratories are the first at difficulty 0, themselves from 0.5 on, noise grows to 1."""
    share = min(1.0, 2 * difficulty)

    first, own = LABORATORIES[0], laboratory

    def between(a: Triple, b: Triple) -> Triple:
        return tuple((1 - share) * x + share * y for x, y in zip(a, b, strict=True))  # type: ignore[return-value]

    strengths = zip(first.strength, own.strength, strict=True)
    return Laboratory(
        own.name,
        between(first.hematoxylin, own.hematoxylin),
        between(first.eosin, own.eosin),
        tuple((1 - share) * x + share * y for x, y in strengths),  # type: ignore[arg-type]
        between(first.white, own.white),
        (1 - share) * first.blur + share * own.blur,
        2 * difficulty * own.noise,
    )


def stain_vectors(laboratory: Laboratory) -> NDArray[np.float64]:
    """(2, 3): hematoxylin and eosin, optical density in red, green and blue, of length 1."""
    vectors = np.array([laboratory.hematoxylin, laboratory.eosin], float)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def transmitted(amounts: Field, laboratory: Laboratory) -> Field:
    """Beer-Lambert: amounts of the two stains, (2, x, y), to light in 0..255, (3, x, y)."""
    stained = amounts * np.array(laboratory.strength, np.float32)[:, np.newaxis, np.newaxis]
    vectors = stain_vectors(laboratory).astype(np.float32)
    density = np.einsum("sxy,sc->cxy", stained, vectors)
    white = np.array(laboratory.white, np.float32)[:, np.newaxis, np.newaxis]
    light: Field = white * np.exp(-density)
    return light


def scan(rng: Generator, amounts: Field, laboratory: Laboratory) -> Field:
    """What the scanner stores: blurred, noisy, whole numbers in 0..255."""
    from scipy import ndimage

    light = ndimage.gaussian_filter(
        transmitted(amounts, laboratory), (0, laboratory.blur, laboratory.blur)
    )
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(laboratory.noise)
    stored: Field = np.rint(np.clip(light + noise, 0, 255)).astype(np.float32)
    return stored
