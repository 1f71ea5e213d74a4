"""Tiles of stained tissue, as five laboratories would show them.

The tissue (``tissue.py``) says how much hematoxylin and eosin lie at each pixel; the laboratory
says what colours those have and what its scanner makes of them. Light that passes two stains is
absorbed as Beer and Lambert say: each channel is ``white * exp(-amounts @ vectors)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray

from ssl_methods.data.importers.base import Scan
from ssl_methods.data.phantoms.fields import Field
from ssl_methods.data.phantoms.tissue import tissue

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
