"""What an experiment can detect, beside statsmodels and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from ssl_methods.analysis.detection import (
    REFERENCE,
    Spread,
    detection,
    lines,
    of_reference,
    of_tables,
)


def test_subsets_are_those_of_statsmodels_at_the_upper_limit_of_the_sd():
    found = detection("4", Spread(6.0, 9, 0.0, "here"), 5.0)
    safe = 6.0 * np.sqrt(9 / stats.chi2.ppf(0.2, 9))
    power = TTestPower()
    assert found.needed == np.ceil(power.solve_power(5.0 / safe, power=0.8, alpha=0.05))
    expected = power.solve_power(None, nobs=8, power=0.8, alpha=0.05) * safe
    assert found.smallest[8] == pytest.approx(expected, rel=1e-3)
    assert found.floor == pytest.approx(0, abs=1e-9)


def test_test_cases_set_a_floor():
    """Standard error 1.2 of the cases: 2.8 times it is found with 80 % power."""
    found = detection("4", Spread(6.0, 9, 1.23, "here"), 2.0)
    assert found.needed is None
    assert found.floor == pytest.approx(1.23 * 2.81, rel=0.01)
    assert (
        "cannot be told with these test cases: 3.5 is their floor"
        in lines(found, 2.0, " points", 12, 0.5)[-1]
    )


def test_a_plan_says_what_more_subsets_cost():
    found = detection("8", Spread(2.0, 11, 0.2, "here"), 3.0)
    said = lines(found, 3.0, " points", 3, 0.5)
    more = found.needed - 3
    assert (
        f"needs {found.needed} subsets ({more} more than declared, {more * 0.5:.1f} h)" in said[-1]
    )
    assert "(0 more than declared)" in lines(found, 3.0, " points", 99, 0.5)[-1]


def test_the_spread_is_pooled_over_methods_of_the_tables(tmp_path):
    rows = pd.DataFrame(
        [
            {"pair": pair, "role": role, "metric": metric, "budget": "4", "class": "mean",
             "subsets": subsets, "sd_subset": sd, "error_case": 1.0}
            for pair, role, metric, subsets, sd in [
                ("baseline", "method", "dice", 12, 3.0), ("baseline", "method", "dice", 8, 4.0),
                ("baseline", "bound", "dice", 3, 90.0), ("best", "method", "dice", 8, 90.0),
                ("baseline", "method", "asd_voxel", 8, 90.0),
            ]
        ]
    )  # fmt: skip
    spread = of_tables(tmp_path, rows, "dice")["4"]
    assert (spread.sd_subset, spread.freedom) == (pytest.approx(np.sqrt(12.5)), 7)
    assert of_tables(tmp_path, rows.drop(columns="sd_subset"), "dice") == {}
    assert of_reference(5, 20).sd_subset == REFERENCE[4]
    assert of_reference(2, 20).sd_subset == REFERENCE[4]
    assert of_reference(80, 20).sd_subset == REFERENCE[16]
