"""The verb `metrics` on files whose grids or values differ, and arrays at the boundary."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.itk import affines, itk_save, noise

from ssl_methods.cli import main
from ssl_methods.data.arrays import read_hdf5, read_npy
from ssl_methods.errors import UserError
from ssl_methods.evaluation.compare import compare_files

quickly = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def save(path: Path, label: Any, affine: Any = None) -> Path:
    if path.suffix == ".npy":
        np.save(path, label)
    else:
        itk_save(path, np.asarray(label, np.uint8), np.eye(4) if affine is None else affine)
    return path


def two_masks() -> tuple[np.ndarray, np.ndarray]:
    reference = np.zeros((9, 7, 5), np.uint8)
    reference[2:6, 1:5, 1:4] = 1
    prediction = np.zeros_like(reference)
    prediction[3:7, 1:5, 2:4] = 1
    return prediction, reference


# ---- grids -------------------------------------------------------------------------------------


@quickly
@given(
    affines(),
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.sampled_from([".nii.gz", ".nrrd", ".mha"]),
    st.sampled_from([".nii", ".nrrd", ".mha"]),
)
def test_a_turned_file_is_compared_where_it_lies(
    tmp_path: Path, affine: Any, order: Any, flips: Any, suffix: str, other: str
) -> None:
    prediction, reference = two_masks()
    right = save(tmp_path / f"reference{other}", reference, affine)
    plain = save(tmp_path / f"plain{suffix}", prediction, affine)
    image = SimpleITK.PermuteAxes(SimpleITK.ReadImage(str(plain)), [int(it) for it in order])
    image = SimpleITK.Flip(image, [bool(it) for it in flips])
    left = tmp_path / f"turned{suffix}"
    SimpleITK.WriteImage(image, str(left))
    truth = SimpleITK.ReadImage(str(right))
    resampled = SimpleITK.Resample(
        image, truth, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor
    )
    one, two = (SimpleITK.GetArrayFromImage(it) for it in (resampled, truth))
    found = compare_files(left, right)
    assert found == compare_files(plain, right)
    assert found["dice"] == pytest.approx(2 * (one & two).sum() / (one.sum() + two.sum()))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_place_is_refused_and_less_than_half_a_voxel_is_not(tmp_path, axis):
    affine = np.diag([0.5, 1.0, 6.0, 1.0])
    prediction, reference = two_masks()
    right = save(tmp_path / "reference.nii.gz", reference, affine)
    for voxels, refused in ((0.45, False), (0.55, True), (3, True)):
        moved = affine.copy()
        moved[axis, 3] += voxels * affine[axis, axis]
        left = save(tmp_path / "prediction.nii.gz", prediction, moved)
        if refused:
            with pytest.raises(
                UserError, match=rf"{voxels} voxels along axis {'xyz'[axis]}, .* mm"
            ):
                compare_files(left, right)
        else:
            assert compare_files(left, right)["dice"] == pytest.approx(2 * 24 / (48 + 32))
    assert compare_files(save(tmp_path / "a.npy", prediction), right)["dice"] > 0.5


def test_spacing_is_in_the_order_of_the_reference(tmp_path):
    prediction, reference = two_masks()
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    turned = affine[:, [2, 0, 1, 3]]
    right = save(tmp_path / "reference.nii", reference, affine)
    left = save(tmp_path / "prediction.nrrd", prediction.transpose(2, 0, 1), turned)
    own = compare_files(left, right)
    assert own == pytest.approx(compare_files(left, right, spacing=(1, 2, 3)))
    assert own["asd_mm"] != pytest.approx(compare_files(left, right, spacing=(3, 1, 2))["asd_mm"])


# ---- values ------------------------------------------------------------------------------------


def test_values_without_one_in_common_are_refused_unless_merged(tmp_path):
    prediction, reference = two_masks()
    right = save(tmp_path / "r.nii.gz", reference * 255)
    left = save(tmp_path / "p.nii.gz", prediction)
    with pytest.raises(
        UserError, match=r"p\.nii\.gz holds the values 1 and .*r\.nii\.gz 255.*--merged"
    ):
        compare_files(left, right)
    plain = compare_files(left, save(tmp_path / "same.nii.gz", reference))
    assert compare_files(left, right, merged=True) == plain | {"merged": True}
    assert "merged" not in plain


def test_values_of_one_file_only_are_said(tmp_path, caplog):
    prediction, reference = two_masks()
    classes = reference.copy()
    classes[2:4][classes[2:4] > 0] = 2
    right, left = save(tmp_path / "r.mha", classes), save(tmp_path / "p.mha", prediction)
    found = compare_files(left, right)
    assert list(found["classes"]) == ["1", "2"] and found["classes"]["2"]["empty_prediction"]
    assert f"{left} holds the values 1, {right} 1, 2" in caplog.text and "--merged" in caplog.text
    caplog.clear()
    compare_files(right, right)
    assert not caplog.text
    empty = save(tmp_path / "e.mha", np.zeros_like(reference))
    assert compare_files(empty, left)["empty_prediction"]


def test_merged_on_the_command_line(tmp_path, capsys):
    prediction, reference = two_masks()
    right = save(tmp_path / "r.nrrd", reference * 3)
    left = save(tmp_path / "p.mha", prediction).rename(tmp_path / "p.MHA")
    assert main(["metrics", str(left), str(right)]) == 2
    assert main(["metrics", str(left), str(right), "--merged", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["merged"] is True


# ---- arrays ------------------------------------------------------------------------------------


def npy_with(path: Path, header: bytes, content: bytes = b"") -> Path:
    header += b" " * (117 - len(header)) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000, 100000, 100000), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (-4, 4), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }",
        b"{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4, 2), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 4, }",
        b"{'descr': '|u1'}",
        b"[[[[[[[[[",
    ],
)
def test_npy_headers_that_are_refused(tmp_path, header):
    with pytest.raises(UserError, match=r"^[^\n]*a\.npy: [^\n]*$"):
        read_npy(npy_with(tmp_path / "a.npy", header, bytes(64)))


def test_npy_is_as_long_as_it_says(tmp_path):
    path = save(tmp_path / "a.npy", np.ones((4, 4), np.uint8))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UserError, match=r"a\.npy: is damaged"):
        read_npy(path)
    os.mkfifo(tmp_path / "b.npy")
    with pytest.raises(UserError, match="is no regular file"):
        read_npy(tmp_path / "b.npy")


def test_hdf5_that_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", (10**5, 10**5, 10**3), "f4", chunks=(100, 100, 100))
        file.create_dataset("wide", (10**4, 10**4), "f4", chunks=(100, 100), compression="gzip")
        file["text"] = np.full((4, 4), b"abc")
        file["none"] = h5py.Empty("f4")
        file.create_group("group")
        file["good"] = noise((4, 3, 2))
        file.create_dataset(
            "sum", data=noise((40, 30, 20), seed=5), chunks=(40, 30, 20), fletcher32=True
        )
    np.testing.assert_array_equal(read_hdf5(path, ("good",))[0], noise((4, 3, 2)))
    for key in ("huge", "wide", "text", "none", "group", "absent"):
        with pytest.raises(UserError, match=r"^[^\n]*a\.h5: [^\n]*$"):
            read_hdf5(path, (key,))
    content = path.read_bytes()
    at = content.index(noise((40, 30, 20), seed=5).tobytes()[:64])
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(UserError, match=r"a\.h5: cannot be read"):
        read_hdf5(path, ("sum",))


def test_uppercase_suffixes_in_metrics(tmp_path):
    _, reference = two_masks()
    nibabel.save(nibabel.Nifti1Image(reference, np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "A.NII.GZ")
    np.save(tmp_path / "b.npy", reference)
    (tmp_path / "b.npy").rename(tmp_path / "B.NPY")
    assert compare_files(tmp_path / "A.NII.GZ", tmp_path / "B.NPY")["dice"] == 1
