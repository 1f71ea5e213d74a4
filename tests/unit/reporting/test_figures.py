"""What figures draw, on simulated results with known truth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt
from support import simulated

from ssl_methods import methods
from ssl_methods.analysis.names import faces_of, label, shown_as
from ssl_methods.face import Face, written
from ssl_methods.reporting.figures.base import NothingToShow
from ssl_methods.reporting.figures.dice_vs_budget import dice_vs_budget
from ssl_methods.reporting.figures.inverse_transform import inverse_transform, one_voxel
from ssl_methods.reporting.figures.lambda_warmup import lambda_warmup
from ssl_methods.reporting.figures.level_set_panel import level_set_panel
from ssl_methods.reporting.figures.training_curves import training_curves
from ssl_methods.reporting.looks import FAMILIES, Look, looks
from ssl_methods.reporting.overlays import best_median_worst
from ssl_methods.reporting.style import BLUE, GREEN, save


def test_dice_figure_draws_the_means_and_a_dot_per_run(tmp_path):
    simulated.collected(
        tmp_path, methods=["supervised", "dtc"], budgets=[4, 16],
        missing=(("dtc", "16", 2, 0),), test_cases=2,
    )  # fmt: skip
    folder = tmp_path / "simulated" / "tables"
    summary = pd.read_csv(folder / "summary.csv", dtype={"budget": str, "class": str})
    runs = pd.read_csv(folder / "runs.csv", dtype={"budget": str, "class": str})
    axis = dice_vs_budget(summary, runs).axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    expected = summary[summary["method"] == "dtc"].sort_values("labeled")["dice"] * 100
    assert np.allclose(lines["DTC"].get_ydata(), expected)
    dots = [line for line in axis.lines if line.get_marker() == "."]
    assert sorted(len(line.get_xdata()) for line in dots) == [5, 6]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["4", "16"]


def test_used_weights_lie_on_the_formula():
    declared = simulated.experiment(methods=["supervised", "dtc"], budgets=[4], subsets=1)
    history = pd.concat(
        simulated.history(run).assign(method=run.name, budget="4", labeled=4, subset=0, seed=0)
        for run in declared.runs()
    )
    axis = lambda_warmup(history).axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {"released: 40 steps", "exp(-5 (1 - t/t_max)²)", "used: DTC"}
    t, weight = lines["used: DTC"].get_data()
    assert np.allclose(weight, np.exp(-5 * (1 - np.asarray(t) / 600) ** 2), rtol=1e-4)


def test_weights_that_do_not_change_are_no_ramp():
    history = pd.DataFrame({
        "method": "supervised", "budget": "4", "labeled": 4, "subset": 0, "seed": 0,
        "iteration": [10, 20], "loss": [1.0, 0.5], "dice": [1.0, 0.5], "weight_dice": [0.5, 0.5],
    })  # fmt: skip
    with pytest.raises(NothingToShow, match="no run has a term whose weight changes"):
        lambda_warmup(history)
    labels = [axis.get_ylabel() for axis in training_curves(history).axes]
    assert labels == ["loss", "dice loss"]


def test_inverse_curves_are_the_logistic_function():
    axis = inverse_transform().axes[0]
    for line, k in zip(axis.lines, (1, 10, 100, 1500), strict=True):
        z, value = (np.asarray(data, float) for data in line.get_data())
        with np.errstate(over="ignore"):
            assert np.allclose(value, 1 / (1 + np.exp(k * z)))


def test_one_voxel_is_a_step_of_the_normalised_distance():
    x, y, z = np.mgrid[-10:11, -10:11, -10:11]
    ball = x**2 + y**2 + z**2 <= 36
    inside, outside = one_voxel(ball)
    assert outside == pytest.approx(1 / distance_transform_edt(~ball).max(), rel=1e-5)
    assert -0.5 < inside < 0


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 8)])
def test_level_set_panel_in_two_and_three_dimensions(shape):
    label = np.zeros(shape, np.uint8)
    label[2:9, 2:8] = 1  # the same on all slices, so that the first is shown
    figure = level_set_panel(label + 0.5, label)
    panels = [np.asarray(axis.images[0].get_array()).T for axis in figure.axes[:4]]
    inside, outside = distance_transform_edt(label), distance_transform_edt(label == 0)
    distance = outside / outside.max() - inside / inside.max()
    distance[(label == 1) & ~binary_erosion(label, border_value=1)] = 0
    truth = (label + 0.5, label, distance, distance < 0)
    for panel, expected in zip(panels, truth, strict=True):
        assert panel.shape == (12, 10)
        rounded = panel.round() if expected.dtype == bool else panel
        flat = expected if expected.ndim == 2 else expected[..., 0]
        assert np.allclose(rounded, flat, atol=1e-6)


def test_best_median_worst_are_ranked_and_never_twice():
    dice = pd.Series({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6})
    assert best_median_worst(dice) == {"best": "a", "median": "c", "worst": "b"}
    assert best_median_worst(dice[["a", "b"]]) == {"best": "a", "median": "b"}
    assert best_median_worst(dice[["a"]]) == {"best": "a"}


def test_looks_are_fixed_for_known_methods_and_distinct_for_all():
    names = ["zeta", "dtc", "supervised", "alpha", *(f"m{i}" for i in range(20))]
    chosen = looks(names)
    assert chosen["dtc"] == Look(BLUE, "D") and len(set(chosen.values())) == len(names)
    assert looks(reversed(names)) == chosen
    packaged = methods.names()
    assert set(simulated.MANY) == set(packaged)
    assert len({label(name) for name in packaged}) == len(packaged)
    assert all(looks([name]) == {name: look} for name, look in looks(packaged).items())
    assert len(set(looks(packaged).values())) == len(packaged)


@pytest.mark.parametrize("name", methods.names())
def test_a_methods_face_is_the_one_that_its_class_has(name):
    """Read as text, for results that do not record it."""
    assert written(name) == Face.of(methods.method_class(name))
    assert written(name).title and written(name).family in FAMILIES and written(name).marker


def recorded(row="dtc", method="dtc", **face):
    choice = SimpleNamespace(method=method)
    return faces_of([(SimpleNamespace(name=row, choice=choice), face)])


def test_a_face_is_what_the_run_recorded():
    faces = recorded("mine", "mine", title="My method", family="level set", marker="h")
    with shown_as(faces):
        assert label("mine") == "My method" and label("mine_tuned") == "My method (tuned)"
        assert looks(["mine"]) == {"mine": Look(GREEN, "h")}
        assert looks(["mine_tuned"]) == {"mine_tuned": Look(GREEN, "*")}
    assert label("mine") == "mine"


def test_rows_of_one_method_have_one_colour_and_their_own_names():
    faces = recorded("dtc_k100", "dtc") | recorded("dtc", "dtc", title="DTC", family="dual task",
                                                   marker="D")  # fmt: skip
    with shown_as(faces):
        found = looks(["dtc_k100", "dtc"])
        assert found["dtc"] == Look(BLUE, "D") and found["dtc_k100"].colour == BLUE
        assert found["dtc_k100"].marker != "D" and label("dtc_k100") == "dtc_k100"


def test_a_family_that_is_not_listed_has_a_colour_of_its_own():
    with shown_as(recorded("a", "a", family="new") | recorded("b", "b", family="new")):
        found = looks(["a", "b", "c"])
    assert found["a"].colour == found["b"].colour != found["c"].colour
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("wrong", [{"marker": "no marker"}, {"title": 3}, {"family": ["x"]},
                                   {"title": "a\nb"}, {"marker": "sv"}])  # fmt: skip
def test_a_record_that_holds_no_face_is_none(wrong):
    with shown_as(recorded("dtc", "dtc", **wrong)):
        (look,) = looks(["dtc"]).values()
        assert "\n" not in label("dtc") and len(look.marker) == 1


def test_a_figure_is_saved_small_and_at_300_dpi(tmp_path):
    save(inverse_transform(), tmp_path, "it")
    picture = Image.open(tmp_path / "it.png")
    assert picture.info["dpi"][0] == pytest.approx(300, abs=1)
    assert picture.size[0] == 2160 and (tmp_path / "it.png").stat().st_size < 150_000
