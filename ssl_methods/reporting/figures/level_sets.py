"""The mathematics in pictures: T⁻¹ for several k; one case as image, label, level set and T⁻¹."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit

from ssl_methods.level_set import signed_distance
from ssl_methods.reporting.overlays import show_slice
from ssl_methods.reporting.style import DOUBLE

PAPER_K = 1500
STEEPNESS = {1: "#56b4e9", 10: "#009e73", 100: "#e69f00", PAPER_K: "#d55e00"}


def inverse_transform(label: NDArray | None = None) -> Figure:
    """T⁻¹(z) = sigmoid(-k z) over the range of the level set, and near its zero.

    Args:
        label: a reference mask; how far one voxel is in its normalised level set is then marked.
    """
    figure = Figure(figsize=(DOUBLE, 2.6))
    whole, near = figure.subplots(1, 2, sharey=True)
    voxel = (
        one_voxel(label) if label is not None and 0 < np.count_nonzero(label) < label.size else None
    )
    closer = 0.05 if voxel is None else max(0.02, 1.25 * voxel[1], -1.25 * voxel[0])
    for axis, reach in ((whole, 1.0), (near, closer)):
        z = np.linspace(-reach, reach, 2001)
        for k, colour in STEEPNESS.items():
            axis.plot(z, expit(-k * z), color=colour, label=f"k = {k}")
        axis.set_xlabel("level set z (negative inside)")
        axis.set_xlim(-reach, reach)
    whole.set_title("the whole range")
    near.set_title("near the contour")
    whole.set_ylabel("T⁻¹(z) = sigmoid(-k z)")
    whole.set_xticks([-1, -0.5, 0, 0.5, 1])
    near.locator_params(axis="x", nbins=5)
    if voxel is not None:
        near.axvspan(
            *voxel,
            color="#888888",
            alpha=0.15,
            linewidth=0,
            label="within one voxel\nof the contour",
        )
    handles, names = near.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center")
    return figure


def one_voxel(label: NDArray) -> tuple[float, float]:
    """The level set one voxel inside and one outside the contour of a mask: (negative, positive).

    Outside: the least distance of a background voxel. Inside: the next step below the contour,
    which is 0.
    """
    level_set = signed_distance(label)
    inside, outside = level_set[level_set < 0], level_set[level_set > 0]
    return float(inside.max()) if len(inside) else 0.0, float(outside.min()) if len(
        outside
    ) else 0.0


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
