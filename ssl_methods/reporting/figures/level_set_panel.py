"""One case as image, label, level set and T⁻¹."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit

from ssl_methods.level_set import signed_distance
from ssl_methods.reporting.figures.base import Drawing, NothingToShow
from ssl_methods.reporting.figures.inverse_transform import PAPER_K
from ssl_methods.reporting.overlays import show_slice
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE


class LevelSetPanel(Drawing):
    place = 90
    caption = (
        "A test case: image, label, its signed distance map (negative inside, inside and outside "
        "each scaled to 1 on the whole volume; black: 0) and T⁻¹ with the paper's k."
    )

    def draw(self, found: Results) -> Figure:
        if found.example is None:
            raise NothingToShow("there are no prepared data, or no test case with foreground")
        return level_set_panel(*found.example)


def level_set_panel(image: NDArray, label: NDArray) -> Figure:
    """Image, label, signed distance and T⁻¹ (k = 1500) on the slice with most foreground.

    Args:
        image: (\\*spatial), any intensities; label: the same shape, non-zero is foreground. 2D or
            3D; the level set is of the whole volume.
    """
    level_set = signed_distance(label)
    where = best_slice(label)
    figure = Figure(figsize=(DOUBLE, 2.35))
    axes, bars = figure.subplots(2, 4, height_ratios=[18, 1])
    show_slice(axes[0], image[where], "image")
    show_slice(axes[1], label[where] != 0, "label", vmin=0, vmax=1)
    distance = show_slice(axes[2], level_set[where], "level set T", cmap="RdBu", vmin=-1, vmax=1)
    if level_set[where].min() < 0 < level_set[where].max():
        axes[2].contour(level_set[where].T, levels=[0], colors="black", linewidths=0.6)
    inverse = show_slice(
        axes[3], expit(-PAPER_K * level_set[where]), f"T⁻¹, k = {PAPER_K}", vmin=0, vmax=1
    )
    figure.colorbar(distance, cax=bars[2], orientation="horizontal", ticks=[-1, 0, 1])
    figure.colorbar(inverse, cax=bars[3], orientation="horizontal", ticks=[0, 0.5, 1])
    for bar in bars[:2]:
        bar.remove()
    return figure


def best_slice(label: NDArray) -> tuple[slice | int, ...]:
    """The slice across the last axis with most foreground; everything in 2D."""
    if label.ndim == 2:
        return (slice(None), slice(None))
    return (slice(None), slice(None), int(np.count_nonzero(label, axis=(0, 1)).argmax()))
