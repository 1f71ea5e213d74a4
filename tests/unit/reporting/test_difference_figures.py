"""The forest plot, gains by level, profiles and what can be detected: what they show is true."""

import numpy as np
import pytest
from support import simulated

from ssl_methods.analysis.gains import gains_by_subset
from ssl_methods.analysis.tables import case_matrix
from ssl_methods.reporting.figures.base import NothingToShow
from ssl_methods.reporting.figures.detectable_difference import DetectableDifference
from ssl_methods.reporting.figures.differences import Differences
from ssl_methods.reporting.figures.failure_profile import FailureProfile
from ssl_methods.reporting.figures.gain_by_level import GainByLevel
from ssl_methods.reporting.results import Results


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    declared = simulated.collected(
        results, methods=["supervised", "dtc", "empty"], budgets=[4, 16], subsets=6, test_cases=24
    )
    return Results(declared, results)


def lines(axis, marker=None):
    return [line for line in axis.lines if marker is None or line.get_marker() == marker]


def test_gains_are_paired_means_of_each_subset(found):
    gains = gains_by_subset(found.cases, found.design)
    cases = found.cases[found.cases["budget"] == "4"]
    dtc, base = (case_matrix(cases[cases["method"] == it], "dice") for it in ("dtc", "supervised"))
    own = gains[(gains["method"] == "dtc") & (gains["budget"] == "4")].set_index("subset")
    expected = 100 * (dtc - base).mean(axis=1).groupby("subset").mean()
    assert own["gain"].to_dict() == pytest.approx(expected.to_dict())
    assert own.loc[2, "level"] == pytest.approx(100 * base.loc[2].to_numpy().mean())


def test_the_forest_plot_shows_interval_dots_margin_and_verdict(found):
    figure = Differences().draw(found)
    axis = figure.axes[0]
    assert len(figure.axes) == 2
    row = found.comparisons.query("method == 'dtc' and metric == 'dice' and budget == '4'").iloc[0]
    drawn = [np.asarray(line.get_xdata(), float) for line in axis.lines]
    assert any(ends == pytest.approx([100 * row["low"], 100 * row["high"]]) for ends in drawn
               if len(ends) == 2)  # fmt: skip
    gains = gains_by_subset(found.cases, found.design).query("method == 'dtc' and budget == '4'")
    (dots,) = lines(axis, ".")
    assert sorted(dots.get_xdata()) == pytest.approx(sorted(gains["gain"]))
    band = axis.patches[0].get_extents().transformed(axis.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((-2, 2))
    assert [text.get_text() for text in axis.texts] == ["better"]
    assert "margin of 2 points" in Differences().caption_for(found)


def test_gains_stand_against_the_levels_of_the_baseline(found):
    axis = GainByLevel().draw(found).axes[0]
    gains = gains_by_subset(found.cases, found.design).query("method == 'dtc' and budget == '4'")
    own = [line for line in axis.lines if len(line.get_xdata()) == 6]
    assert sorted(own[0].get_xdata()) == pytest.approx(sorted(gains["level"]))
    few = found.cases[found.cases["subset"] < 2]
    with pytest.raises(NothingToShow, match="fewer than 3"):
        from ssl_methods.reporting.figures.gain_by_level import gain_by_level

        gain_by_level(gains_by_subset(few, found.design), found.design)


def test_a_profile_is_the_share_that_reaches_a_value(found):
    axis = FailureProfile().draw(found).axes[0]
    own = found.cases.query("method == 'dtc' and budget == '4'")["dice"] * 100
    (line,) = [line for line in axis.lines if line.get_label() == "DTC"]
    x, y = line.get_data()
    at = np.interp(80.0, x[1:], y[1:])
    assert at == pytest.approx(100 * (own >= 80).mean(), abs=2)


def test_what_can_be_detected_falls_with_more_subsets(found):
    axis = DetectableDifference().draw(found).axes[0]
    curves = [line.get_ydata() for line in axis.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 2
    for curve in curves:
        assert (np.diff(curve) < 0).all()
