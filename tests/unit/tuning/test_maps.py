"""The map and the slices of a study's trials, read back from the figures."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution

from ssl_methods.reporting.style import RC
from ssl_methods.tuning.maps import map_figure, slices_figure

SPACE = {"k": FloatDistribution(1, 5000, log=True), "weight": FloatDistribution(0.01, 10, log=True)}


def trials() -> pd.DataFrame:
    """Dice falls with the logarithm of k; trial 0 is the default, trial 12 was pruned."""
    k = np.geomspace(1, 5000, 12)
    return pd.DataFrame({
        "trial": range(13), "state": ["complete"] * 12 + ["pruned"],
        "default": [True] + [False] * 12,
        "validation_dice": [*(0.7 - 0.02 * np.log10(k[::-1])), np.nan],
        "k": [*k[::-1], 30.0], "weight": [*np.tile([0.1, 1.0, 5.0], 4), 0.02],
    })  # fmt: skip


def drawn(figure: Figure) -> Figure:
    with mpl.rc_context(RC):
        figure.draw_without_rendering()
    return figure


def tick_texts(figure: Figure) -> list[str]:
    return [
        tick.get_text()
        for axis in figure.axes
        for tick in [*axis.get_xticklabels(which="both"), *axis.get_yticklabels(which="both")]
    ]


def test_decades_are_numbers():
    with mpl.rc_context(RC):
        for figure in (
            map_figure(trials(), SPACE, "dtc"),
            slices_figure(trials(), pd.DataFrame(), SPACE, "dtc"),
        ):
            texts = tick_texts(drawn(figure))
            assert {"1", "10", "100", "1000", "0.01", "0.1"} <= set(texts)
            assert not [text for text in texts if "$" in text]


def test_the_best_and_the_default_stand_where_they_are():
    with mpl.rc_context(RC):
        axis = map_figure(trials(), SPACE, "dtc").axes[0]
    at = {line.get_label(): line.get_xydata() for line in axis.lines}
    np.testing.assert_allclose(at["best"], [[1, 5]])
    np.testing.assert_allclose(at["default"], [[5000, 0.1]])
    np.testing.assert_allclose(at["pruned"], [[30, 0.02]])
