"""A chamber with tubular branches among look-alikes, as in an atrial MRI.

The anatomy is a set of signed distances in voxels (negative inside); the image follows from
it: contrast, texture, a smooth bias field, blur, Rician noise. All of it varies more from case to
case, and blood stands out less, as ``difficulty`` grows.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

from ssl_methods.data.importers.base import Scan
from ssl_methods.data.phantoms.fields import Field, Vector, dot, inside, smooth_field, union, unit

CHAMBER, BRANCH = 1, 2


def generate(shape: tuple[int, ...], difficulty: float, key: tuple[int, ...]) -> Scan:
    """One case of this spatial shape; equal keys give equal bits."""
    rng = Generator(Philox(SeedSequence(key)))
    anatomy = Anatomy(rng, shape, difficulty)
    label = np.zeros(shape, dtype=np.uint8)
    label[anatomy.branches < 0] = BRANCH
    label[anatomy.chamber < 0] = CHAMBER
    image = acquire(rng, anatomy, difficulty)
    return Scan(image[np.newaxis], label, (1.0,) * len(shape), None)


class Anatomy:
    """Signed distances in voxels, float32, of the structures of one case; negative inside."""

    def __init__(self, rng: Generator, shape: tuple[int, ...], difficulty: float) -> None:
        self.rng, self.shape, self.difficulty = rng, shape, difficulty
        self.axes = np.meshgrid(
            *[np.arange(size, dtype=np.float32) for size in shape], indexing="ij", sparse=True
        )
        n = len(shape)
        self.size = float(min(np.prod(shape) ** (1 / n), 1.6 * min(shape)))
        room = np.array(shape) / 2 - 0.3 * self.size
        shift = rng.uniform(-1, 1, n) * np.maximum(room, 0) * difficulty
        self.centre = np.array(shape) / 2 - 0.5 + shift
        self.radii = self.size * (0.25 + 0.06 * difficulty * rng.uniform(-1, 1, n))
        self.radii *= 1 + 0.6 * difficulty * rng.uniform(-1, 0.6)
        bumps = smooth_field(rng, shape, self.size / 5) * self.size * 0.04 * (0.5 + difficulty)
        self.chamber = self._ellipsoid(self.centre, self.radii) + bumps
        self.branches = self._branches()
        self.blood = np.minimum(self.chamber, self.branches)
        self.lookalikes = self._lookalikes()
        self.lung = self._lung()

    def _ellipsoid(self, centre: Vector, radii: Vector) -> Field:
        """A rotated ellipsoid; the distance is exact on the surface and near enough around it."""
        n = len(centre)
        turn = np.linalg.qr(self.rng.normal(size=(n, n)))[0] / radii[:, np.newaxis]
        offsets = [axis - np.float32(at) for axis, at in zip(self.axes, centre, strict=True)]
        squares = np.zeros(self.shape, dtype=np.float32)
        for row in turn.astype(np.float32):
            squares += dot(row, offsets) ** 2
        return (np.sqrt(squares) - 1) * np.float32(radii.min())

    def _branches(self) -> Field:
        """Two to five tubes that leave the chamber, bend and taper."""
        count = 3 if self.difficulty == 0 else int(self.rng.integers(2, 6))
        tubes = []
        for _ in range(count):
            direction = unit(self.rng.normal(size=len(self.shape)))
            start = self.centre + direction * self.radii.min() * 0.7
            radius = self.size * self.rng.uniform(0.04, 0.065)
            length = self.size * self.rng.uniform(0.2, 0.4)
            tubes.append(self._tube(start, direction, length, radius))
        return union(tubes)

    def _lookalikes(self) -> Field:
        """Neighbouring chambers behind a thin wall, and passing vessels: bright, not labeled."""
        found = []
        for _ in range(1 + round(2 * self.difficulty)):
            direction = unit(self.rng.normal(size=len(self.shape)))
            radii = self.size * self.rng.uniform(0.1, 0.2, len(self.shape))
            apart = self.radii.max() + radii.max() * self.rng.uniform(0.7, 1.2)
            found.append(self._ellipsoid(self.centre + direction * apart, radii))
        for _ in range(round(4 * self.difficulty)):
            direction = unit(self.rng.normal(size=len(self.shape)))
            side = self._across(direction)
            apart = side * self.rng.uniform(0.3, 0.5) - direction * 0.5
            start = self.centre + apart * self.size
            radius = self.size * self.rng.uniform(0.04, 0.08)
            found.append(self._tube(start, direction, self.size, radius))
        wall = self.size * 0.03
        return np.maximum(union(found), np.float32(wall) - self.blood)

    def _across(self, direction: Vector) -> Vector:
        """A random direction at a right angle to the given one."""
        other = self.rng.normal(size=len(self.shape))
        return unit(other - (other * direction).sum() * direction)

    def _lung(self) -> Field:
        """A dark region that cuts a corner of the volume."""
        direction = unit(self.rng.normal(size=len(self.shape)))
        offsets = [axis - np.float32(at) for axis, at in zip(self.axes, self.centre, strict=True)]
        return np.float32(self.size * 0.45) - dot(direction.astype(np.float32), offsets)

    def _tube(self, start: Vector, direction: Vector, length: float, radius: float) -> Field:
        """A bent, tapering tube: a chain of capsules."""
        pieces = []
        point, heading = start, direction
        bend = 0.3 * (0.3 + self.difficulty)
        for step in range(3):
            heading = unit(heading + self.rng.normal(size=len(self.shape)) * bend)
            end = point + heading * length / 3
            pieces.append(self._capsule(point, end, radius * (1 - 0.12 * step)))
            point = end
        return union(pieces)

    def _capsule(self, start: Vector, end: Vector, radius: float) -> Field:
        along = (end - start).astype(np.float32)
        offsets = [axis - np.float32(at) for axis, at in zip(self.axes, start, strict=True)]
        t = np.clip(dot(along, offsets) / np.float32((along**2).sum()), 0, 1)
        squares = np.zeros(self.shape, dtype=np.float32)
        for a, offset in zip(along, offsets, strict=True):
            squares += (offset - t * a) ** 2
        return np.sqrt(squares) - np.float32(radius)


def acquire(rng: Generator, anatomy: Anatomy, difficulty: float) -> Field:
    """The image of an anatomy: float32, values from 0 (air) to about 1 (blood)."""
    from scipy import ndimage

    shape, size = anatomy.shape, anatomy.size

    def vary(middle: float, low: float, high: float) -> float:
        """Drawn anew for each case, from a range around the middle that grows with difficulty."""
        return middle + difficulty * float(rng.uniform(low, high))

    tissue = vary(0.35, -0.2, 0.3)
    contrast = vary(0.45, -0.35, 0.05)
    lookalike = contrast * vary(0.7, -0.6, 1.2)
    image = tissue * (1 + vary(0, 0.1, 0.6) * smooth_field(rng, shape, size / 14))
    image -= 0.25 * inside(anatomy.lung)
    image += (tissue + lookalike - image) * inside(anatomy.lookalikes)
    blood = contrast * (1 + vary(0, 0.1, 0.5) * smooth_field(rng, shape, size / 7))
    image += (tissue + blood - image) * inside(anatomy.blood)
    image *= np.exp(vary(0, 0.2, 1.0) * smooth_field(rng, shape, size / 2.5))
    image = ndimage.gaussian_filter(image, vary(0.4, 0, 0.8))
    noise = vary(0.02, 0, 0.1)
    real, imaginary = rng.standard_normal((2, *shape), dtype=np.float32) * np.float32(noise)
    rician: Field = np.hypot(image + real, imaginary)
    return rician
