"""T⁻¹ for several k, and what lies within one voxel of the contour."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit

from ssl_methods.level_set import signed_distance
from ssl_methods.reporting.figures.base import Drawing
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.style import DOUBLE, GREEN, ORANGE, SKY, VERMILION


class InverseTransform(Drawing):
    place = 80
    caption = (
        "The smooth inverse T⁻¹(z) = sigmoid(-k z). Grey: level-set values within one voxel of "
        "the contour, in the example below. Where the curve is flat, the consistency loss passes "
        "no gradient to the level set."
    )

    def draw(self, found: Results) -> Figure:
        example = found.example
        return inverse_transform(example[1] if example else None)


PAPER_K = 1500
STEEPNESS = {1: SKY, 10: GREEN, 100: ORANGE, PAPER_K: VERMILION}


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
