"""Metrics against MedPy, MONAI, scikit-image and closed forms."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric import binary
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_iou,
    compute_surface_dice,
)
from numpy.typing import NDArray
from skimage.measure import label as skimage_label

from ssl_methods.errors import UserError
from ssl_methods.evaluation.compare import compare_files
from ssl_methods.evaluation.metrics import case_metrics, columns

SPACINGS = [None, (0.625, 0.625, 0.625), (1.0, 1.05, 1.0), (0.7, 1.1, 2.5), (3.0, 0.4, 0.9)]
Mask = NDArray[np.bool_]
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
HIPPOCAMPUS = SHARED / "Task04_Hippocampus" / "labelsTr"


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[Mask, Mask, tuple[float, ...] | None]:
    """Two masks with foreground on one grid: boxes (at the border, nested, disjoint) and noise."""
    dimensions = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 12)) for _ in range(dimensions))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def mask() -> Mask:
        kind = draw(st.sampled_from(["box", "noise", "voxel", "boxes and noise"]))
        found = np.zeros(shape, bool)
        found[tuple(rng.integers(size) for size in shape)] = True
        if "box" in kind:
            ends = [np.sort(rng.integers(0, size + 1, 2)) for size in shape]
            found[tuple(slice(*end) for end in ends)] = True
        if "noise" in kind:
            found |= rng.random(shape) < draw(st.sampled_from([0.02, 0.3, 0.9]))
        return found

    spacing = draw(st.sampled_from(SPACINGS))
    return mask(), mask(), None if spacing is None else spacing[:dimensions]


def blob(seed: int, shape: tuple[int, ...] = (24, 20, 16), bumps: float = 0.3) -> Mask:
    """A ball with a rough surface and stray pieces."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    mask: Mask = radius + bumps * np.random.default_rng(seed).normal(size=shape) < 0.6
    return mask


def one_hot(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask)[None, None].float()


@settings(max_examples=150, deadline=None)
@given(mask_pairs())
def test_equals_medpy(pair: tuple[Mask, Mask, tuple[float, ...] | None]) -> None:
    prediction, reference, spacing = pair
    found = case_metrics(prediction, reference, spacing)
    assert found["dice"] == pytest.approx(binary.dc(prediction, reference), abs=1e-12)
    assert found["jaccard"] == pytest.approx(binary.jc(prediction, reference), abs=1e-12)
    assert found["asd_voxel"] == pytest.approx(
        binary.asd(prediction, reference), rel=1e-6, abs=1e-9
    )
    assert found["hd95_voxel"] == pytest.approx(
        binary.hd95(prediction, reference), rel=1e-6, abs=1e-9
    )
    assert found["asd_mm"] == pytest.approx(
        binary.asd(prediction, reference, spacing), rel=1e-6, abs=1e-9
    )
    assert found["hd95_mm"] == pytest.approx(
        binary.hd95(prediction, reference, spacing), rel=1e-6, abs=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(mask_pairs())
def test_largest_component_equals_medpy_on_that_of_skimage(
    pair: tuple[Mask, Mask, tuple[float, ...] | None],
) -> None:
    """Also which of several equally large components is kept."""
    prediction, reference, spacing = pair
    labels = skimage_label(prediction)
    largest = labels == np.bincount(labels.flat)[1:].argmax() + 1
    found = case_metrics(prediction, reference, spacing)
    expected = {
        "dice": binary.dc(largest, reference),
        "jaccard": binary.jc(largest, reference),
        "asd_voxel": binary.asd(largest, reference),
        "hd95_voxel": binary.hd95(largest, reference),
    }
    for name, value in expected.items():
        assert found[f"{name}_largest_component"] == pytest.approx(value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("tolerance", [0.9, 2.05])
def test_nsd_assd_and_overlap_equal_monai(
    spacing: tuple[float, ...] | None, tolerance: float
) -> None:
    for seed in range(3):
        prediction, reference = blob(seed), blob(seed + 10, bumps=0.1)
        found = case_metrics(prediction, reference, spacing, tolerance)
        pair = one_hot(prediction), one_hot(reference)
        nsd = compute_surface_dice(*pair, [tolerance], include_background=True, spacing=spacing)
        assd = compute_average_surface_distance(
            *pair, include_background=True, symmetric=True, spacing=spacing
        )
        assert found[f"nsd_{tolerance:g}mm"] == pytest.approx(nsd.item(), rel=1e-6)
        assert found["assd_mm"] == pytest.approx(assd.item(), rel=1e-6)
        assert found["dice"] == pytest.approx(compute_dice(*pair).item(), rel=1e-6)
        assert found["jaccard"] == pytest.approx(compute_iou(*pair).item(), rel=1e-6)


def test_two_voxels_apart_in_closed_form() -> None:
    """Two single voxels at (3, 4) voxels of 2 x 0.5 mm: all distances are one number."""
    prediction, reference = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    prediction[1, 1] = reference[4, 5] = True
    found = case_metrics(prediction, reference, (2.0, 0.5))
    assert found["asd_voxel"] == found["hd95_voxel"] == 5.0
    for name in ("asd_mm", "hd95_mm", "assd_mm"):
        assert found[name] == pytest.approx(math.hypot(6.0, 2.0), rel=1e-6)
    assert found["dice"] == found["jaccard"] == found["nsd_1mm"] == 0.0


def test_asd_is_directed_and_assd_is_not() -> None:
    small, large = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    small[2:5, 2:5] = True
    large[2:5, 2:25] = True
    there, back = case_metrics(small, large), case_metrics(large, small)
    assert there["asd_mm"] < 1 < back["asd_mm"]
    assert there["assd_mm"] == back["assd_mm"]


@pytest.mark.parametrize("size", [0.1, 0.3, 0.7, 1.1, 1.3])
def test_a_distance_equal_to_the_tolerance_is_within_it(size: float) -> None:
    """None of these sizes is a binary fraction: the comparison must not hang on its last bit."""
    for gap in range(1, 12):
        prediction, reference = np.zeros((16, 4), bool), np.zeros((16, 4), bool)
        prediction[2, 1] = reference[2 + gap, 1] = True
        for tolerance, expected in ((size * gap, 1.0), (size * gap - 0.01, 0.0)):
            for other in (size, 2.0):
                found = case_metrics(prediction, reference, (size, other), tolerance)
                assert found[columns(tolerance)[7]] == expected


DISTANCES = ["asd_voxel", "hd95_voxel", "asd_mm", "hd95_mm", "assd_mm"]
OVERLAPS = ["dice", "jaccard", "nsd_1mm", "dice_largest_component", "jaccard_largest_component"]


def test_both_empty_is_perfect() -> None:
    empty = np.zeros((6, 7, 8), bool)
    found = case_metrics(empty, empty, (1, 2, 3))
    assert all(found[name] == 1.0 for name in OVERLAPS)
    assert all(found[name] == 0.0 for name in [*DISTANCES, "volume_error_ml"])
    assert found["empty_prediction"] is True and found["empty_reference"] is True


@pytest.mark.parametrize("empty_one", ["prediction", "reference"])
def test_one_empty_is_as_bad_as_the_volume_allows(empty_one: str) -> None:
    empty, full = np.zeros((6, 7, 8), bool), np.zeros((6, 7, 8), bool)
    full[2:4, 2:4, 2:4] = True
    pair = (empty, full) if empty_one == "prediction" else (full, empty)
    found = case_metrics(*pair, spacing=(1, 2, 3))
    assert all(found[name] == 0.0 for name in OVERLAPS)
    for name in [
        "asd_voxel",
        "hd95_voxel",
        "asd_voxel_largest_component",
        "hd95_voxel_largest_component",
    ]:
        assert found[name] == pytest.approx(math.sqrt(36 + 49 + 64))
    for name in ["asd_mm", "hd95_mm", "assd_mm"]:
        assert found[name] == pytest.approx(math.sqrt(6**2 + 14**2 + 24**2))
    assert found[f"empty_{empty_one}"] is True
    assert sum([found["empty_prediction"], found["empty_reference"]]) == 1
    assert found["volume_error_ml"] == pytest.approx(
        (8 if empty_one == "reference" else -8) * 6 / 1000
    )


def test_volume_error_is_signed_and_in_millilitres() -> None:
    prediction, reference = np.ones((10, 10, 10), bool), np.ones((10, 10, 10), bool)
    reference[:5] = False
    assert case_metrics(prediction, reference, (2, 2, 2.5))["volume_error_ml"] == pytest.approx(5.0)
    assert case_metrics(reference, prediction, (2, 2, 2.5))["volume_error_ml"] == pytest.approx(
        -5.0
    )


@settings(max_examples=60, deadline=None)
@given(mask_pairs(), st.integers(0, 2**32 - 1))
def test_the_frame_does_not_matter(
    pair: tuple[Mask, Mask, tuple[float, ...] | None], seed: int
) -> None:
    """More background around, or another order of the axes, changes no metric."""
    prediction, reference, spacing = pair
    rng = np.random.default_rng(seed)
    order = rng.permutation(prediction.ndim)
    margins = rng.integers(0, 4, (prediction.ndim, 2))
    size = spacing or (1.0,) * prediction.ndim
    first, second = (np.pad(mask, margins).transpose(order) for mask in (prediction, reference))
    found = case_metrics(first, second, [size[axis] for axis in order])
    for name, value in case_metrics(prediction, reference, spacing).items():
        if not name.endswith("_largest_component"):  # which of equal ones depends on the order
            assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(mask_pairs())
def test_bounds_and_symmetry(pair: tuple[Mask, Mask, tuple[float, ...] | None]) -> None:
    prediction, reference, spacing = pair
    found, swapped = (
        case_metrics(prediction, reference, spacing),
        case_metrics(reference, prediction, spacing),
    )
    for name in ("dice", "jaccard", "nsd_1mm", "hd95_voxel", "hd95_mm", "assd_mm"):
        assert found[name] == pytest.approx(swapped[name], rel=1e-6)
    assert found["jaccard"] == pytest.approx(found["dice"] / (2 - found["dice"]))
    size = spacing or (1.0,) * prediction.ndim
    diagonal = math.hypot(*(n * length for n, length in zip(prediction.shape, size, strict=True)))
    assert all(0 <= found[name] < diagonal for name in ("asd_mm", "hd95_mm", "assd_mm"))
    same = case_metrics(prediction, prediction, spacing)
    assert same["dice"] == same["nsd_1mm"] == 1 and same["hd95_mm"] == same["assd_mm"] == 0


def test_columns_are_those_of_the_page_on_formats() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/formats.md").read_text()
    (listed,) = re.findall(r"^`cases\.csv`: `case, class, ([^`]*)`", page, re.M)
    expected = listed.replace("<tau>", "1.5").replace("\n", " ").split(", ")
    mask = blob(0)
    for prediction in (mask, np.zeros_like(mask)):
        found = case_metrics(prediction, mask, nsd_tolerance_mm=1.5)
        assert list(found) == columns(1.5) == expected
        assert {type(value) for value in found.values()} == {float, bool}


def test_integer_masks_read_as_bool_and_inputs_are_left_alone() -> None:
    prediction, reference = blob(1), blob(2)
    before = prediction.copy(), reference.copy()
    assert case_metrics(
        prediction.astype(np.uint8) * 7, np.asfortranarray(reference)
    ) == case_metrics(prediction, reference)
    assert (before[0] == prediction).all() and (before[1] == reference).all()


@pytest.mark.parametrize(
    ("prediction", "reference", "spacing", "message"),
    [
        (np.ones((3, 3)), np.ones((3, 4)), None, "same grid"),
        (np.ones((3, 3)), np.ones((3, 3, 1)), None, "same grid"),
        (np.ones(3), np.ones(3), None, "2D or 3D"),
        (np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 2)), None, "2D or 3D"),
        (np.ones((3, 3)), np.ones((3, 3)), (1, 1, 1), "2 positive lengths"),
        (np.ones((3, 3)), np.ones((3, 3)), (1, 0), "2 positive lengths"),
        (np.ones((3, 3)), np.ones((3, 3)), (1, math.nan), "2 positive lengths"),
    ],
)
def test_bad_input_is_named(
    prediction: Mask, reference: Mask, spacing: tuple[float, ...] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        case_metrics(prediction, reference, spacing)


# ---- two files (the verb `metrics`) --------------------------------------------------------------


def save_label(
    path: Path, label: NDArray[Any], spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> Path:
    if path.suffix == ".npy":
        np.save(path, label)
    elif path.suffix == ".nrrd":
        nrrd.write(str(path), label, {"spacings": list(spacing)})
    else:
        nibabel.save(nibabel.Nifti1Image(label, np.diag([*spacing, 1.0])), path)
    return path


@pytest.mark.parametrize("suffix", ["nii.gz", "nii", "nrrd", "npy"])
def test_files_are_compared_with_the_spacing_of_the_reference(tmp_path: Path, suffix: str) -> None:
    prediction, reference = blob(1).astype(np.uint8), blob(2).astype(np.uint8)
    size = (0.5, 0.75, 3.0)
    left = save_label(tmp_path / "prediction.npy", prediction)
    right = save_label(tmp_path / f"reference.{suffix}", reference, size)
    expected = case_metrics(prediction, reference, None if suffix == "npy" else size, 2.0)
    assert compare_files(left, right, tolerance=2.0) == pytest.approx(expected, rel=1e-6)
    given = compare_files(left, right, spacing=(2, 2, 2))
    assert given == case_metrics(prediction, reference, (2, 2, 2))


def test_several_labels_are_measured_apart(tmp_path: Path) -> None:
    reference = np.zeros((12, 12), np.int16)
    reference[2:6, 2:6], reference[6:10, 2:6] = 2, 5
    prediction = np.roll(reference, 1, axis=1)
    prediction[0, 0] = 11
    left = save_label(tmp_path / "prediction.npy", prediction)
    right = save_label(tmp_path / "reference.npy", reference)
    found = compare_files(left, right)
    assert list(found) == ["classes"] and list(found["classes"]) == ["2", "5", "11"]
    for value in (2, 5, 11):
        assert found["classes"][str(value)] == case_metrics(prediction == value, reference == value)
    json.dumps(found, allow_nan=False)


@pytest.mark.skipif(not HIPPOCAMPUS.exists(), reason="no shared/data/Task04_Hippocampus here")
def test_a_real_label_against_a_shifted_one(tmp_path: Path) -> None:
    reference = sorted(HIPPOCAMPUS.glob("hippocampus_*.nii.gz"))[0]
    file: Any = nibabel.load(reference)
    true = np.asarray(file.dataobj)
    shifted = np.roll(true, (1, -2), (0, 1)).astype(np.uint8)
    found = compare_files(save_label(tmp_path / "shifted.npy", shifted), reference)
    assert list(found["classes"]) == ["1", "2"]
    for value in (1, 2):
        pair = shifted == value, true == value
        metrics = found["classes"][str(value)]
        assert metrics["dice"] == pytest.approx(binary.dc(*pair))
        assert metrics["asd_mm"] == pytest.approx(binary.asd(*pair))
        assert metrics["hd95_mm"] == pytest.approx(binary.hd95(*pair))


def test_empty_label_files_agree(tmp_path: Path) -> None:
    empty = save_label(tmp_path / "empty.npy", np.zeros((4, 4), bool))
    found = compare_files(empty, empty)
    assert found["dice"] == 1.0 and found["empty_prediction"] and found["empty_reference"]


def test_headers_that_differ_are_refused(tmp_path: Path) -> None:
    left = save_label(tmp_path / "prediction.nii", blob(1).astype(np.uint8), (1, 1, 2))
    right = save_label(tmp_path / "reference.nii", blob(2).astype(np.uint8), (1, 1, 3))
    with pytest.raises(UserError, match=r"up to 5\.17 voxels along axis z, 15\.5 mm away"):
        compare_files(left, right)


def test_bad_label_files_are_named(tmp_path: Path) -> None:
    good = save_label(tmp_path / "good.npy", np.ones((4, 4, 4), np.uint8))
    smaller = save_label(tmp_path / "smaller.nii", np.ones((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match=r"smaller\.nii has shape \(4, 4, 3\)"):
        compare_files(smaller, good)
    with pytest.raises(UserError, match=r"absent\.npy: no such file"):
        compare_files(good, tmp_path / "absent.npy")
    with pytest.raises(UserError, match=r"absent\.nii: no such file"):
        compare_files(tmp_path / "absent.nii", good)
    for wrong in (0.5, -1.0, np.nan):
        half = save_label(tmp_path / "half.npy", np.full((4, 4, 4), wrong))
        with pytest.raises(UserError, match=r"half\.npy: labels must be whole numbers"):
            compare_files(half, good)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(UserError, match=r"text\.npy: cannot be read"):
        compare_files(tmp_path / "text.npy", good)
    save_label(tmp_path / "words.npy", np.array([["a", "b"]]))
    with pytest.raises(UserError, match=r"words\.npy: expected labels"):
        compare_files(tmp_path / "words.npy", good)
    with pytest.raises(UserError, match="3 positive lengths"):
        compare_files(good, good, spacing=(1, 1))
