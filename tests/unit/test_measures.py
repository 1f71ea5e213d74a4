"""The row of each metric: it describes every column, and what it says holds of the values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssl_methods import measures
from ssl_methods.analysis.claims.declared import COSTS
from ssl_methods.evaluation.metrics import case_metrics, columns
from ssl_methods.measures import Measure

FLAGS = {"empty_prediction", "empty_reference"}
masks = arrays(bool, (4, 5, 3))


@given(masks, masks, st.floats(0.1, 9))
def test_every_column_has_a_row_whose_range_holds_its_values(prediction, reference, tolerance):
    values = case_metrics(prediction, reference, (0.5, 1.0, 3.0), tolerance)
    assert list(values) == columns(tolerance)
    for name in set(values) - FLAGS:
        row = measures.of(name)
        assert row.title != name, "nothing is known of it"
        assert row.range[0] <= values[name] <= row.range[1]


def test_better_is_where_the_prediction_is_right():
    right = np.zeros((8, 8, 8), bool)
    right[2:6, 2:6, 2:6] = True
    wrong = np.roll(right, 2, axis=0)
    good, bad = case_metrics(right, right), case_metrics(wrong, right)
    for name in set(columns()) - FLAGS - {"volume_error_ml"}:
        assert (good[name] > bad[name]) == measures.of(name).higher_is_better, name


def test_what_is_compared_are_the_four_of_the_papers_in_their_order():
    assert measures.OF_PAPERS == ("dice", "jaccard", "asd_voxel", "hd95_voxel")
    assert list(measures.compared(columns()[::-1])) == list(measures.OF_PAPERS)
    assert list(measures.compared(["hd95_voxel", "dice", "case"])) == ["dice", "hd95_voxel"]


def test_headings_name_the_unit_that_is_shown():
    shown = [(row.heading, row.axis) for row in measures.compared(columns()).values()]
    assert shown == [
        ("Dice %", "Dice (%)"),
        ("Jaccard %", "Jaccard (%)"),
        ("ASD voxel", "ASD (voxel)"),
        ("95HD voxel", "95HD (voxel)"),
    ]
    assert all(measures.of(cost).heading for cost in COSTS)


def test_a_column_that_nothing_is_known_of_is_shown_by_its_name_and_compared_nowhere():
    row = measures.of("sharpness")
    assert (row.heading, row.range, row.compared) == ("sharpness", (-math.inf, math.inf), False)
    assert not measures.of("dice_largest_component").compared


@pytest.mark.parametrize("both, worst", [(True, 0.0), (False, math.hypot(4, 10, 9))])
def test_a_distance_from_nothing_is_the_diagonal(both, worst):
    in_mm, in_voxels = (
        Measure("D", "mm", range=(0, math.inf)),
        Measure("D", "voxel", range=(0, 9e9)),
    )
    assert in_mm.of_empty(both, (4, 5, 3), (1.0, 2.0, 3.0)) == worst
    assert in_voxels.of_empty(False, (4, 5, 3), (1.0, 2.0, 3.0)) == 9e9
    assert Measure("S", higher_is_better=True, range=(0, 1)).of_empty(both, (4,), (1.0,)) == both


def test_a_range_without_an_end_says_nothing_of_empty_masks():
    with pytest.raises(ValueError, match="no end"):
        Measure("volume error", "ml").of_empty(False, (4, 5, 3), (1.0, 1.0, 1.0))
