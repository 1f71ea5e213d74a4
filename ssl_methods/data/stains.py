"""Stain normalisation: the colours of a tile brought to those of a reference tile.

Macenko (Macenko et al., ISBI 2009): the two stain vectors of a tile are found in optical density,
and the amounts of stain, scaled by their 99th percentiles, are shown in the reference's vectors.
Reinhard (Reinhard et al., IEEE CG&A 2001): mean and standard deviation of each channel of CIE Lab.
Both by torchstain's NumPy code, which takes and gives 8-bit RGB; what it fails on without a word is
refused here.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase, StainSettings
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError

Stain = Literal["macenko", "reinhard"]
Image = NDArray[np.float32]  # (3, x, y), RGB in 0..255

LIGHT = 240  # what is let through unstained; torchstain's, and the authors' code's
FAINT = 0.15  # optical density below which a pixel counts as unstained
LEAST_STAINED = 0.02  # of the pixels: two vectors of fewer are noise
LEAST_APART = 0.05  # radians between the two


class StainVectors(NamedTuple):
    """What Macenko's method finds in a tile."""

    vectors: NDArray[np.float64]  # (2, 3): hematoxylin, eosin; RGB optical density, length 1
    amounts: NDArray[np.float64]  # (2,): 99th percentile of each stain's amount


class StainNormaliser:
    """Brings RGB images to the stains of a reference; can be sent to another process.

    Raises UserError if torchstain is not installed or the reference is no stained RGB image.
    """

    def __init__(self, stain: Stain, reference: Image) -> None:
        self.stain = stain
        self._fitted = _new(stain)
        self._fitted.fit(self._checked(reference))

    def __call__(self, image: Image) -> Image:
        """(3, x, y) to the same shape, whole numbers in 0..255.

        Raises UserError for what is not RGB in 0..255, or shows too little stained tissue.
        """
        normalised = self._fitted.normalize(self._checked(image))
        if self.stain == "macenko":
            normalised = normalised[0]
        return np.ascontiguousarray(np.moveaxis(normalised, -1, 0), dtype=np.float32)

    def _checked(self, image: Image) -> NDArray[np.uint8]:
        pixels = as_pixels(image)
        if self.stain == "macenko":
            _check_stained(pixels)
        elif (pixels == pixels[..., :1]).all() or (pixels == pixels[0, 0]).all():
            raise UserError("stain reinhard: the image has no colours that differ")
        return pixels


def stain_normaliser(store: Store, dataset: DatasetBase) -> StainNormaliser | None:
    """What brought the stains of this store's cases to those of its reference; None if nothing."""
    reference = store.stain_reference()
    if reference is None or not isinstance(dataset, StainSettings) or dataset.stain == "none":
        return None
    return StainNormaliser(dataset.stain, reference)


def stain_vectors(image: Image) -> StainVectors:
    """The stains of an RGB image as Macenko's method finds them. Raises UserError as it does."""
    return _check_stained(as_pixels(image))


def as_pixels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(3, x, y) float to (x, y, 3) bytes. Raises UserError for what is not RGB in 0..255."""
    if image.ndim != 3 or len(image) != 3:
        raise UserError(
            f"stain normalisation needs RGB pictures; this has shape {image.shape} "
            "(channels first); set dataset.stain: none"
        )
    if image.min() < 0 or image.max() > 255:
        raise UserError(
            f"stain normalisation needs RGB of 0..255; found {image.min():g} to {image.max():g}"
        )
    return np.moveaxis(np.rint(image), 0, -1).astype(np.uint8)


def _check_stained(pixels: NDArray[np.uint8]) -> StainVectors:
    density = -np.log((pixels.reshape(-1, 3).astype(float) + 1) / LIGHT)
    share = (density >= FAINT).all(axis=1).mean()
    if share < LEAST_STAINED:
        raise UserError(
            f"stain macenko: {share:.1%} of the tile is stained tissue, at least "
            f"{LEAST_STAINED:.0%} are needed; leave out tiles of background, or use reinhard"
        )
    fitted = _new("macenko")
    fitted.fit(pixels)
    found = StainVectors(fitted.HERef.T, fitted.maxCRef)
    apart = np.linalg.norm(found.vectors[0] - found.vectors[1])  # about the angle, in radians
    if not (apart > LEAST_APART and (found.amounts > 0).all() and (found.vectors.sum(1) > 0).all()):
        raise UserError("stain macenko: no two stains can be told apart; use reinhard or none")
    return found


def _new(stain: Stain) -> Any:
    try:
        from torchstain.numpy.normalizers import NumpyMacenkoNormalizer, NumpyReinhardNormalizer
    except ImportError:
        raise UserError(
            f"dataset.stain {stain} needs torchstain: pip install 'ssl-methods[histology]'"
        ) from None
    return NumpyMacenkoNormalizer() if stain == "macenko" else NumpyReinhardNormalizer()
