"""What the page is made of: stacks of slices, the methods paragraph, tables of other parts."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from support import simulated

from ssl_methods.analysis.bibliography import bibliography
from ssl_methods.config import TrainingConfig
from ssl_methods.reporting.paragraph import in_latex, in_words, optimiser, paragraph
from ssl_methods.reporting.report import question, reading
from ssl_methods.reporting.results import Results
from ssl_methods.reporting.stacks import contour, other_cases, picture, stacks
from ssl_methods.reporting.style import TALLEST, save


def corners(path: str) -> list[list[tuple[float, float]]]:
    """The points of each closed line of an SVG path."""
    return [
        [tuple(map(float, point.split())) for point in line.split("L")]
        for line in re.findall(r"M([^Z]*)Z", path)
    ]


def area(points) -> float:
    x, y = np.array(points).T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def test_a_contour_goes_half_way_between_voxels_with_y_upwards():
    classes = np.zeros((8, 6), np.uint8)
    classes[2:5, 1:4] = 1  # centres x 2.5 to 4.5; y 1.5 to 3.5 from below, 2.5 to 4.5 from above
    (line,) = corners(contour(classes))
    x, y = np.array(line).T
    assert (x.min(), x.max(), y.min(), y.max()) == (2, 5, 2, 5)
    assert area(line) == pytest.approx(9 - 4 * 0.125)  # corners are cut


def test_a_contour_is_closed_at_the_border_and_one_for_each_class():
    classes = np.full((4, 4), 2, np.uint8)
    classes[:2] = 1
    lines = corners(contour(classes))
    assert [area(line) for line in lines] == pytest.approx([7.5, 7.5])
    assert contour(np.zeros((4, 4), np.uint8)) == ""


def test_a_picture_has_x_to_the_right_and_y_upwards():
    grey = np.arange(12, dtype=np.uint8).reshape(4, 3)
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(picture(grey).split(",")[1]))))
    assert shown.shape == (3, 4) and shown[-1].tolist() == [0, 3, 6, 9]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    methods = ["supervised_all", "supervised", "mean_teacher", "dtc", "empty"]
    declared = simulated.collected(folder, methods=methods, budgets=[4], subsets=2, test_cases=5)
    return Results(declared, folder)


def test_stacks_hold_the_slices_of_every_method(found):
    shown = stacks(found)
    assert [stack.case for stack in shown] == ["case_000", "case_001", "case_002"]
    assert [leaf.position for leaf in shown[0].leaves] == [10, 15, 20, 25, 30]
    panels = shown[0].leaves[0].panels
    names = [panel.name for panel in panels]
    assert names == ["Supervised (all labels)", "Supervised", "Mean teacher", "DTC", "Empty"]
    cases = found.cases
    (run,) = [run for run in found.overlay_runs if run.name == "dtc"]
    own = cases["method"].eq("dtc") & cases["subset"].eq(run.subset)
    row = cases[own & cases["case"].eq("case_000")]
    assert panels[3].dice == f"{row['dice'].item() * 100:.1f}" and panels[4].path == ""


def test_results_without_stacks_have_none(found, tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised"], budgets=[4], subsets=1, test_cases=2
    )
    path = next(tmp_path.rglob("slices.npz"))
    with np.load(path) as arrays:
        old = {name: arrays[name] for name in arrays.files if ".slices_" not in name}
    np.savez(path, **old)
    assert stacks(Results(declared, tmp_path)) == []


def test_the_paragraph_says_the_settings_and_cites_what_is_in_the_bibliography(found):
    text = paragraph(found)
    keys = {key for group in re.findall(r"\[\[(.*?)\]\]", text) for key in group.split(",")}
    assert keys <= set(bibliography())
    assert {"luo2021dtc", "tarvainen2017meanteacher", "milletari2016vnet"} <= keys
    words = in_words(text)
    assert "Mean teacher (Tarvainen & Valpola, 2017)" in words and "[[" not in words
    for said in (
        "600 iterations", "learning rate 0.01, divided by ten after 250 and 500",
        "4 labeled and 56 unlabeled", "drawn at random twice", "5 test cases",
        "Controls, trained on no image: Empty.", "Computed with PyTorch 2.13.0 on cpu.",
    ):  # fmt: skip
        assert said in words
    latex = in_latex(text)
    assert r"DTC~\cite{luo2021dtc}" in latex and r"their 95 \% intervals are of crossed" in latex
    assert r"32 $\times$ 32 $\times$ 32 voxels" in latex


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({"labeled_cases": "first", "subsets": 1}, "were the first in the order", "at random"),
        ({"labeled_cases": "partition"}, "blocks of a random order", "drawn at random"),
        (
            {"labeled_cases": "partition", "subsets": {"baseline": 8, "compared": 3}},
            "the baseline was trained on all of them", "drawn at random",
        ),
        ({"looks": [2]}, "O'Brien and Fleming", "double sampling"),
        (
            {"dataset": {"name": "b", "importer": "phantom", "normalisation": "window",
                         "clip_values": [0, 9], "crop": "nonzero"}},
            "clipped to 0 and 9. What lay between these values was mapped to 0..1. Scans were "
            "cropped to the bounding box of what is not zero", "zero mean",
        ),
        (
            {"dataset": {"name": "b", "importer": "phantom", "normalisation": "percentile",
                         "clip_percentiles": [1, 99]}},
            "percentiles 1 and 99 of each image", "zero mean",
        ),
    ],
)  # fmt: skip
def test_the_paragraph_says_the_draw_the_looks_and_the_intensities(changes, said, unsaid, tmp_path):
    changes = {"methods": ["supervised", "dtc"], "budgets": [4]} | changes
    declared = simulated.collected(tmp_path, test_cases=4, **changes)
    words = in_words(paragraph(Results(declared, tmp_path)))
    assert said in words and unsaid not in words and "Wilcoxon" not in words


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        ({"learning_rate_schedule": "constant"}, "(learning rate 0.01, momentum 0.9, weight"),
        ({"learning_rate_schedule": "poly"}, "(learning rate 0.01 times (1 - t/t_max)^0.9, mom"),
        (
            {"optimizer": "adamw", "learning_rate_steps": ()},
            "AdamW (learning rate 0.01, betas 0.9 and 0.999, weight decay 0.0001)",
        ),
    ],
)
def test_the_paragraph_says_optimiser_and_schedule(loop, said):
    assert said in optimiser(TrainingConfig(**loop))


def test_the_paragraph_holds_no_result(found):
    """The same text when every measurement is another."""
    other = SimpleNamespace(
        experiment=found.experiment, runs=found.runs, measured=found.measured,
        summary=found.summary.assign(dice=0.123), records=found.records, design=found.design,
    )  # fmt: skip
    assert paragraph(other) == paragraph(found)


def test_the_question_names_labels_methods_and_baseline(found):
    asked = question(found)
    assert "4 labeled" in asked and "2 methods" in asked and "than Supervised" in asked


def test_a_figure_of_hundreds_of_rows_has_a_picture_of_bounded_height(tmp_path):
    for name, inches in (("usual", 2), ("tall", 250)):
        save(Figure(figsize=(1, inches)), tmp_path, name)
    with Image.open(tmp_path / "usual.png") as usual, Image.open(tmp_path / "tall.png") as tall:
        assert usual.size == (300, 600)
        assert 0.9 * TALLEST < tall.height <= TALLEST


def test_every_other_case_has_its_slice(found, monkeypatch):
    with_stacks = {stack.case for stack in stacks(found)}
    shown = other_cases(found)
    every = set(found.measured["case"])
    assert {stack.case for stack in shown} == every - with_stacks and with_stacks < every
    assert all(len(stack.leaves) == 1 and stack.leaves[0].reference for stack in shown)
    assert {len(stack.leaves[0].panels) for stack in shown} == {len(found.overlay_runs)}
    monkeypatch.setattr("ssl_methods.reporting.stacks.MOST_PANELS", len(found.overlay_runs))
    assert [stack.case for stack in other_cases(found)] == [shown[0].case]


def test_of_many_methods_the_first_have_stacks(found, monkeypatch):
    monkeypatch.setattr("ssl_methods.reporting.stacks.MOST", 1)
    assert {len(leaf.panels) for stack in stacks(found) for leaf in stack.leaves} == {1}


def test_headline_and_ranks_are_by_the_metric_that_is_judged(tmp_path):
    declared = simulated.collected(
        tmp_path, methods=["supervised", "dtc", "empty"], budgets=[4], primary="hd95_voxel",
        failures=False,
    )  # fmt: skip
    found = Results(declared, tmp_path)
    (line,) = reading(found)
    dtc = found.summary.set_index("method").loc["dtc", "hd95_voxel"]
    assert f"lowest mean 95HD {dtc:.2f} voxel, DTC. Better than Supervised: DTC." in line
    assert "Not above it" not in line  # no method is as bad as predicting nothing
    assert set(found.table("ranks")["metric"]) == {"hd95_voxel"}
    assert found.table("ranks").set_index("method").loc["dtc", "rank"] == 1
