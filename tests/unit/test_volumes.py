"""Image files in and out, held against SimpleITK, nibabel and pynrrd: places, values, headers."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.itk import affines, itk_place, itk_save, noise, rotation, shapes

from ssl_methods.data.geometry import axis_codes, grid_difference, reoriented, turned_to
from ssl_methods.data.importers.base import load_files
from ssl_methods.data.volumes import (
    Header,
    Volume,
    label_suffix,
    read_label_volume,
    read_volume,
    suffix_of,
    volume_id,
    write_label,
)
from ssl_methods.errors import UserError

ITK_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")

quickly = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def a_label(shape: tuple[int, ...], most: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, most + 1, shape)


# ---- as others read and write ------------------------------------------------------------------


@quickly
@given(affines(), shapes, st.sampled_from(ITK_SUFFIXES), st.sampled_from(DTYPES), st.booleans())
def test_what_itk_writes_is_read_and_its_label_opens_in_itk_at_the_same_place(
    tmp_path: Path, affine: Any, shape: Any, suffix: str, dtype: str, compressed: bool
) -> None:
    folder = tmp_path / suffix[1:]  # of x.nii.gz ITK reads the header, and the voxels of x.nii
    folder.mkdir(exist_ok=True)
    path, array = folder / f"scan{suffix}", noise(shape, dtype)
    itk_save(path, array, affine, compressed)
    scan = read_volume(path)
    np.testing.assert_array_equal(scan.image[0], array.astype(np.float32))
    assert scan.image.dtype == np.float32 and scan.header.placed
    _, place = itk_place(path)
    np.testing.assert_allclose(scan.affine, place, atol=1e-4)
    label = a_label(shape)
    out = folder / f"out{label_suffix(path)}"
    write_label(out, label, pickle.loads(pickle.dumps(scan)))
    size, placed = itk_place(out)
    assert size == shape
    np.testing.assert_allclose(placed, place, atol=1e-4)
    back = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(out))).T
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, label)
    np.testing.assert_array_equal(read_label_volume(out).image, label)


@quickly
@given(
    affines(),
    st.sampled_from([(4, 3), (4, 3, 1), (4, 3, 2), (4, 3, 2, 1), (4, 3, 2, 3), (4, 3, 1, 2),
                     (4, 3, 2, 1, 3), (1, 3, 2)]),
    st.sampled_from([(1, 1), (2, 0), (0, 1), (4, 1), (0, 0)]),
    st.sampled_from(["mm", "micron", "meter", "unknown"]),
    st.sampled_from([nibabel.Nifti1Image, nibabel.Nifti2Image]),
    st.sampled_from([".nii", ".nii.gz", ".NII.GZ"]),
)  # fmt: skip
def test_a_label_keeps_the_placement_of_a_nifti_scan(
    tmp_path: Path, affine: Any, shape: Any, codes: Any, unit: str, kind: Any, suffix: str
) -> None:
    image = kind(noise(shape, "i2"), None)
    sheared = affine.copy()
    sheared[0, 1] += 1e-3
    image.set_qform(affine, code=codes[0])
    image.set_sform(sheared, code=codes[1])
    image.header.set_xyzt_units(unit)
    path = tmp_path / f"scan{suffix.lower()}"
    nibabel.save(image, path)
    path = path.rename(tmp_path / f"scan{suffix}")
    scan = read_volume(path)
    scale = {"mm": 1.0, "micron": 1e-3, "meter": 1e3, "unknown": 1.0}[unit]
    expected = np.diag([scale, scale, scale, 1]) @ nibabel.load(path).affine
    there = [*range(min(len(shape), 3)), 3]  # a picture's third axis has no size of its own
    np.testing.assert_allclose(scan.affine[:, there], expected[:, there], atol=1e-4 * scale)
    out = tmp_path / "out.nii.gz"
    label = a_label(scan.image.shape[1:], 300)
    write_label(out, label, scan)
    assert np.array_equal(read_label_volume(out).image, label)
    one, two = nibabel.load(path).header, nibabel.load(out).header
    assert type(one) is type(two)
    for name in ("qform_code", "sform_code", "srow_x", "quatern_b", "qoffset_z", "xyzt_units"):
        np.testing.assert_array_equal(one[name], two[name])
    np.testing.assert_array_equal(one["pixdim"][:4], two["pixdim"][:4])
    np.testing.assert_array_equal(nibabel.load(out).affine, nibabel.load(path).affine)
    assert two.get_data_dtype() == np.uint16
    channels = [length for length in shape[3:] if length > 1]
    kept = shape[:3] + tuple(length for length in shape[3:] if length == 1)
    assert two.get_data_shape() == (shape if not channels else kept)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("source", ["scan.nii", "scan.nrrd", "scan.mha", "slice.nrrd", "slice.mha"])
def test_a_label_in_another_format_lies_at_the_same_place(tmp_path, suffix, source):
    affine = np.diag([0.5, 0.75, 2.0, 1.0])
    affine[:3, 3] = 3, -4, 5
    array = noise((5, 4, 3) if "scan" in source else (5, 4))
    if "slice" in source:
        affine[2, 2:] = 1, 0
    itk_save(tmp_path / source, array, affine)
    scan = read_volume(tmp_path / source)
    write_label(tmp_path / f"out{suffix}", a_label(array.shape), scan)
    size, place = itk_place(tmp_path / f"out{suffix}")
    assert size == array.shape
    np.testing.assert_allclose(place, affine, atol=1e-5)


def test_the_same_label_gives_the_same_bytes(tmp_path):
    scan = Volume(noise((1, 5, 4, 3)), (1.0, 1.0, 1.0), np.eye(4))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        for name in ("a", "b"):
            write_label(tmp_path / f"{name}{suffix}", a_label((5, 4, 3)), scan)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_what_cannot_be_written(tmp_path):
    scan = Volume(noise((1, 5, 4, 3)), (1.0, 1.0, 1.0), np.eye(4))
    for name in ("a.nhdr", "a.mhd", "a.jpg", "a.txt"):
        with pytest.raises(UserError, match="a label cannot be written as this"):
            write_label(tmp_path / name, a_label((5, 4, 3)), scan)
    with pytest.raises(ValueError, match="shape"):
        write_label(tmp_path / "a.nii", a_label((5, 4, 2)), scan)
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        write_label(tmp_path / "a.nii", np.full((5, 4, 3), 70000), scan)


def test_suffixes_in_any_case():
    for name, suffix, label in (
        ("a.NII.GZ", ".nii.gz", ".nii.gz"),
        ("a.b.nii", ".nii", ".nii"),
        ("a.Nhdr", ".nhdr", ".nrrd"),
        ("a.MHD", ".mhd", ".mha"),
        ("a.JPG", ".jpg", ".png"),
        ("a.tif", ".tif", ".tif"),
        ("a.gz", None, None),
        (".a.nii", None, None),
    ):
        assert suffix_of(Path(name)) == suffix and label_suffix(Path(name)) == label
    assert volume_id(Path("Case.1.NII.GZ")) == "Case.1"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_s_label_has_its_size_and_resolution_in_itk(tmp_path, suffix):
    pixels = noise((6, 9), "u1")
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", dpi=(254, 254))
    scan = read_volume(tmp_path / f"a{suffix}")
    label = a_label((9, 6), 300)
    write_label(tmp_path / f"out{suffix}", label, scan)
    one, two = (SimpleITK.ReadImage(str(tmp_path / f"{name}{suffix}")) for name in ("a", "out"))
    assert one.GetSize() == two.GetSize() and one.GetSpacing() == pytest.approx(two.GetSpacing())
    np.testing.assert_array_equal(read_label_volume(tmp_path / f"out{suffix}").image, label)


def test_nrrd_as_pynrrd_writes_it(tmp_path):
    array = noise((2, 5, 4, 3))
    for encoding in ("raw", "gzip", "bzip2", "ASCII"):
        header = {
            "encoding": encoding,
            "space": "right-anterior-superior",
            "space directions": np.array([[np.nan] * 3, [0, 0.5, 0], [2, 0, 0], [0, 0, 3]]),
            "space origin": [1, 2, 3],
            "kinds": ["vector", "domain", "domain", "domain"],
        }
        nrrd.write(str(tmp_path / "a.nrrd"), array, header)
        scan = read_volume(tmp_path / "a.nrrd")
        np.testing.assert_allclose(scan.image, array, rtol=1e-6)
        assert scan.affine.tolist() == [[0, 2, 0, 1], [0.5, 0, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]]
        write_label(tmp_path / "out.nrrd", a_label((5, 4, 3)), scan)
        data, found = nrrd.read(str(tmp_path / "out.nrrd"))
        np.testing.assert_array_equal(data, a_label((5, 4, 3)))
        np.testing.assert_array_equal(found["space directions"], header["space directions"][1:])
        assert found["space"] == header["space"]


def test_metaimage_with_several_channels_and_as_text(tmp_path):
    array = noise((3, 4, 5, 2))
    image = SimpleITK.GetImageFromArray(array, isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").image, array.T)
    (tmp_path / "b.mha").write_text(
        "NDims = 2\nBinaryData = False\nElementSpacing = 1 2\nDimSize = 3 2\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n1 2 3\n-4 5 6\n"
    )
    scan = read_volume(tmp_path / "b.mha")
    assert scan.image[0].T.tolist() == [[1, 2, 3], [-4, 5, 6]] and scan.spacing == (1, 2)


def test_voxels_in_a_list_of_files(tmp_path):
    array = noise((4, 3, 2), "u2")
    for z in range(2):
        (tmp_path / f"s{z + 1}.raw").write_bytes(array[:, :, z].tobytes(order="F"))
    nhdr = (
        "NRRD0004\ntype: ushort\nendian: little\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"
        "spacings: 1 1 1\n"
    )
    mhd = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_USHORT\nElementSpacing = 1 1 1\n"
    for name, text in {
        "a.nhdr": nhdr + "data file: LIST\ns1.raw\ns2.raw\n",
        "b.nhdr": nhdr + "datafile: s%d.raw 1 2 1\n",
        "a.mhd": mhd + "ElementDataFile = LIST\ns1.raw\ns2.raw\n",
        "b.mhd": mhd + "ElementDataFile = s%d.raw 1 2 1\n",
    }.items():
        (tmp_path / name).write_text(text)
        np.testing.assert_array_equal(read_volume(tmp_path / name).image[0], array)


# ---- orientation -------------------------------------------------------------------------------


@quickly
@given(affines(), shapes, affines(0.0), st.booleans())
def test_axes_are_brought_to_others_and_back_without_loss(
    affine: Any, shape: Any, other: Any, channels: bool
) -> None:
    codes = axis_codes(affine)
    assert codes == "".join(nibabel.aff2axcodes(affine))
    array = noise((2, *shape) if channels else shape)
    wanted = axis_codes(other)
    turned, placed = reoriented(array, affine, wanted)
    assert axis_codes(placed) == wanted
    back, again = reoriented(turned, placed, codes)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_allclose(again, affine, atol=1e-9)
    inverse = np.linalg.inv(placed)
    for index in np.ndindex(*shape):  # every voxel keeps its place in the world
        at = np.rint(inverse @ affine @ [*index, 1])[:3].astype(int)
        assert (turned[..., *at] == array[..., *index]).all()


def test_codes_in_two_dimensions():
    plane = np.array([[0, 0, 1, 4.0], [2, 0, 0, 5], [0, -3, 0, 6], [0, 0, 0, 1]])
    assert axis_codes(plane, 2) == "AI"
    array = noise((3, 2))
    turned, placed = reoriented(array, plane, "SA")
    np.testing.assert_array_equal(turned, array[:, ::-1].T)
    assert axis_codes(placed, 2) == "SA" and (placed @ [1, 0, 0, 1]).tolist() == [4, 5, 6, 1]
    with pytest.raises(ValueError, match="other planes"):
        reoriented(array, plane, "RA")


@quickly
@given(affines(), shapes, st.sampled_from(range(3)), st.floats(-1, 1))
def test_half_a_voxel_along_any_axis_is_another_grid(
    affine: Any, shape: Any, axis: int, voxels: float
) -> None:
    other = affine.copy()
    other[:3, 3] += affine[:3, axis] * voxels
    found = grid_difference(shape, affine, shape, other)
    if abs(abs(voxels) - 0.5) > 2e-3:
        assert (found is not None) == (abs(voxels) > 0.5)
    if found:
        assert found.axis == axis and found.voxels == pytest.approx(abs(voxels))
        assert found.mm == pytest.approx(abs(voxels) * np.linalg.norm(affine[:3, axis]))


def test_angle_and_extent_count_too(tmp_path):
    def label(affine):
        nibabel.save(
            nibabel.Nifti1Image(np.ones((60, 60, 4), np.uint8), affine), tmp_path / "l.nii"
        )

    image = np.diag([0.5, 0.5, 6.0, 1])
    nibabel.save(nibabel.Nifti1Image(noise((60, 60, 4)), image), tmp_path / "i.nii")
    files = (tmp_path / "i.nii",), tmp_path / "l.nii"
    label(image)
    load_files(*files)
    turned = image.copy()
    turned[:3, :3] = rotation((0, 0, 1.0), 0.02) @ image[:3, :3]
    for wrong in (turned, np.diag([0.51, 0.5, 6, 1]), np.diag([0.5, 0.5, 7, 1])):
        label(wrong)
        with pytest.raises(
            UserError, match=r"l\.nii: lies up to .* voxels along axis [xyz], .* mm"
        ):
            load_files(*files)


@quickly
@given(affines(0.785398), shapes, st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_a_grid_is_turned_to_another_even_at_45_degrees(
    affine: Any, shape: Any, order: Any, flips: Any
) -> None:
    array = noise(shape)
    grid = np.eye(4)[:, [*order, 3]]
    stored = array.transpose(order)
    for axis in np.flatnonzero(flips):
        stored = np.flip(stored, axis)
        grid[:, 3] += grid[:, axis] * (stored.shape[axis] - 1)
        grid[:, axis] *= -1
    turned, placed = turned_to(stored, affine @ grid, affine, 3)
    np.testing.assert_array_equal(turned, array)
    np.testing.assert_allclose(placed, affine, atol=1e-9)


# ---- a header's several statements -------------------------------------------------------------


def contradictory(path: Path, qform: Any, sform: Any, codes=(1, 1)) -> Path:
    image = nibabel.Nifti1Image(noise((40, 30, 4)), None)
    image.set_qform(qform, code=codes[0])
    image.set_sform(sform, code=codes[1])
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    "sform",
    [
        np.array([[0.5, 0, 0, 0.4], [0, 0.5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1.0]]),
        np.diag([0.5, 0.5, 5.5, 1]),
        np.diag([-0.5, 0.5, 5, 1]),
        np.diag([1, 1, 5, 1.0]),
    ],
)
def test_qform_against_sform(tmp_path, sform):
    qform = np.diag([0.5, 0.5, 5, 1])
    path = contradictory(tmp_path / "a.nii.gz", qform, sform)
    with pytest.raises(UserError) as raised:
        read_volume(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: contradicts itself") and "\n" not in message
    for words in (
        "sform: voxels of",
        "qform: voxels of 0.5 x 0.5 x 5 mm",
        "header: sform (or qform)",
    ):
        assert words in message
    np.testing.assert_allclose(read_volume(path, header="sform").affine, sform, atol=1e-6)
    np.testing.assert_allclose(read_volume(path, header="qform").affine, qform, atol=1e-6)
    scan = read_volume(path, header="qform")
    write_label(tmp_path / "out.nii.gz", np.zeros((40, 30, 4), np.uint8), scan)
    again = read_volume(tmp_path / "out.nii.gz", header="qform")
    np.testing.assert_array_equal(again.affine, scan.affine)


def test_less_than_half_a_voxel_between_qform_and_sform_is_rounding(tmp_path):
    qform = np.diag([0.5, 0.5, 5, 1])
    sform = qform.copy()
    sform[0, 3] = 0.2
    path = contradictory(tmp_path / "a.nii", qform, sform)
    np.testing.assert_allclose(read_volume(path).affine, sform, atol=1e-6)


def test_pixdim_against_sform(tmp_path):
    path = contradictory(tmp_path / "a.nii", np.diag([2.0, 1, 1, 1]), np.eye(4), codes=(0, 1))
    with pytest.raises(
        UserError, match=r"contradicts itself: sform: voxels of 1 x 1 x 1 mm; pixdim"
    ):
        read_volume(path)
    assert read_volume(path, header="sform").spacing == (1, 1, 1)


def test_a_header_of_sizes_alone_is_taken_as_nibabel_takes_it(tmp_path):
    path = contradictory(tmp_path / "a.nii", np.diag([2.0, 1, 3, 1]), np.eye(4), codes=(0, 0))
    scan = read_volume(path)
    np.testing.assert_allclose(scan.affine, nibabel.load(path).affine)
    assert not scan.header.placed and axis_codes(scan.affine) == "LAS"
    nibabel.save(nibabel.Nifti1Image(np.ones((40, 30, 4), np.uint8), np.eye(4)), tmp_path / "l.nii")
    with pytest.raises(UserError, match=r"a\.nii states voxel sizes alone"):
        load_files((path,), tmp_path / "l.nii")


NRRD_HEAD = (
    "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"
    "space: left-posterior-superior\n"
)
DIRECTIONS = "space directions: (0.5,0,0) (0,0.5,0) (0,0,2)\n"


def nrrd_of(path: Path, fields: str, voxels: bytes = bytes(range(24))) -> Path:
    path.write_bytes(fields.encode() + b"\n" + voxels)
    return path


def test_nrrd_spacings_against_directions(tmp_path):
    path = nrrd_of(tmp_path / "a.nrrd", NRRD_HEAD + DIRECTIONS + "spacings: 0.5 0.5 3\n")
    with pytest.raises(
        UserError, match=r"contradicts itself.*'space directions'.*2 mm.*'spacings'"
    ):
        read_volume(path)
    assert read_volume(path, header="sform").spacing == (0.5, 0.5, 2)
    nrrd_of(path, NRRD_HEAD + DIRECTIONS + "spacings: 0.5 0.5 2\n")
    assert read_volume(path).spacing == (0.5, 0.5, 2)


@pytest.mark.parametrize(
    "unit, scale",
    [("mm", 1), ("um", 1e-3), ("cm", 10), ("m", 1e3), ("inches", 25.4), ("\u00b5m", 1e-3)],
)
def test_units_of_nrrd(tmp_path, unit, scale):
    units = f'space units: "{unit}" "{unit}" "{unit}"\nspace origin: (1,2,3)\n'
    scan = read_volume(nrrd_of(tmp_path / "a.nrrd", NRRD_HEAD + DIRECTIONS + units))
    assert scan.spacing == pytest.approx((0.5 * scale, 0.5 * scale, 2 * scale))
    np.testing.assert_allclose(scan.affine[:3, 3], [-scale, -2 * scale, 3 * scale])
    no_space = NRRD_HEAD.replace("space: left-posterior-superior\n", "")
    units = f'spacings: 1 2 3\nunits: "{unit}" "{unit}" "{unit}"\n'
    scan = read_volume(nrrd_of(tmp_path / "b.nrrd", no_space + units))
    assert scan.spacing == pytest.approx((scale, 2 * scale, 3 * scale))


@pytest.mark.parametrize(
    "fields, words",
    [
        (
            NRRD_HEAD + DIRECTIONS + 'space units: "mm" "furlong" "mm"\n',
            "'space units' are 'furlong'",
        ),
        (NRRD_HEAD.replace("left-posterior-superior", "scanner-xyz") + DIRECTIONS, "'scanner-xyz'"),
        (NRRD_HEAD + DIRECTIONS + "sizes: 4 3 2\n", "says 'sizes' twice"),
        (NRRD_HEAD + DIRECTIONS.replace("0.5,0,0", "0,0,0"), "no valid voxel size"),
        (NRRD_HEAD + DIRECTIONS.replace("0.5,0,0", "1e999,0,0"), "finite numbers"),
        (NRRD_HEAD.replace("4 3 2", "4 3 -2") + DIRECTIONS, "no valid shape"),
        (NRRD_HEAD.replace("uint8", "block") + DIRECTIONS, "its type 'block'"),
        (NRRD_HEAD.replace("uint8", "int16") + DIRECTIONS, "has no 'endian'"),
        (NRRD_HEAD.replace("raw", "zstd") + DIRECTIONS, "its encoding 'zstd'"),
        (NRRD_HEAD + DIRECTIONS + "what is this\n", "a line that is no field"),
        (NRRD_HEAD + 'spacings: 1 1 1\nunits: "\x1b[2J" "" ""\n', "'units' are '\\x1b[2J'"),
    ],
)
def test_nrrd_headers_that_are_refused(tmp_path, fields, words):
    with pytest.raises(UserError) as raised:
        read_volume(nrrd_of(tmp_path / "a.nrrd", fields))
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'a.nrrd'}: ") and words in message
    assert message.isprintable()


META = (
    "ObjectType = Image\nNDims = 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 1 2 3\n"
    "DimSize = 4 3 2\nElementType = MET_UCHAR\nElementSpacing = 0.5 0.5 2\n"
)


def meta_of(path: Path, fields: str, voxels: bytes = bytes(range(24)), file: str = "LOCAL") -> Path:
    path.write_bytes(f"{fields}ElementDataFile = {file}\n".encode() + voxels)
    return path


@pytest.mark.parametrize(
    "fields, words",
    [
        (META + "ElementSize = 0.5 0.5 3\n", "contradicts itself: ElementSpacing 0.5 0.5 2"),
        (META + "AnatomicalOrientation = LPS\n", "its axes are LPS, by its .*RAI"),
        (META + "DistanceUnits = furlong\n", "DistanceUnits are 'furlong'"),
        (META + "ElementToIntensityFunctionSlope = 2\n", "scales its voxels"),
        (META.replace("MET_UCHAR", "MET_STRING"), "ElementType 'MET_STRING'"),
        (META.replace("0.5 0.5 2", "0.5 0 2"), "no valid voxel size"),
        (META.replace("1 0 0 0 1 0 0 0 1", "1 0 0 1 0 0 0 0 1"), "no valid voxel size"),
        (META + "DimSize = 4 3 2\n", "says 'dimsize' twice"),
    ],
)
def test_metaimage_headers_that_are_refused(tmp_path, fields, words):
    with pytest.raises(UserError, match=words.replace("RAI", "RAI|LPS")):
        read_volume(meta_of(tmp_path / "a.mha", fields))
    if "contradicts" in words or "axes are" in words:
        scan = read_volume(meta_of(tmp_path / "a.mha", fields), header="sform")
        assert scan.spacing == (0.5, 0.5, 2)


def test_units_and_orientation_of_metaimage(tmp_path):
    scan = read_volume(meta_of(tmp_path / "a.mha", META + "DistanceUnits = cm\n"))
    assert scan.spacing == (5, 5, 20) and scan.affine[:3, 3].tolist() == [-10, -20, 30]
    scan = read_volume(meta_of(tmp_path / "a.mha", META + "AnatomicalOrientation = RAI\n"))
    np.testing.assert_allclose(scan.affine, itk_place(tmp_path / "a.mha")[1])


# ---- values ------------------------------------------------------------------------------------


def test_colours_of_nifti_are_channels_and_no_label(tmp_path):
    for kinds in ("RGB", "RGBA"):
        voxels = np.zeros((4, 3, 2), [(one, "u1") for one in kinds])
        for number, one in enumerate(kinds):
            voxels[one] = noise(voxels.shape, "u1", number)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
        image = read_volume(tmp_path / "a.nii.gz").image
        np.testing.assert_array_equal(image, np.stack([voxels[one] for one in kinds]))
        with pytest.raises(UserError, match=r"a\.nii\.gz: is a picture in colours \(RGB\)"):
            read_label_volume(tmp_path / "a.nii.gz")


def test_complex_numbers_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 3, 2), "c8"), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(UserError, match=r"a\.nii: holds complex numbers"):
        read_volume(tmp_path / "a.nii")


def save_nifti(path: Path, array: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return path


def test_labels_keep_their_own_values(tmp_path):
    label = np.array([[[0, 2035], [70000, 16777217]]], np.int32)
    found = read_label_volume(save_nifti(tmp_path / "a.nii.gz", label)).image
    np.testing.assert_array_equal(found, label)
    assert found.dtype == np.int32


def test_nearly_whole_numbers_are_rounded_and_said(tmp_path, caplog):
    label = np.array([[[0, 0.99999994], [2.0005, 3]]], np.float32)
    found = read_label_volume(save_nifti(tmp_path / "a.nii", label)).image
    assert found.tolist() == [[[0, 1], [2, 3]]] and found.dtype.kind == "i"
    assert "a.nii: 2 of 4 voxels are not quite whole numbers (0.99999994, 2.0005)" in caplog.text


@pytest.mark.parametrize(
    "value, words", [(0.9985, "0.9985"), (np.nan, "NaN"), (np.inf, "infinite"), (1e30, "1e+30")]
)
def test_values_that_are_no_labels(tmp_path, value, words):
    label = np.array([[[0, 1, value]]], np.float32)
    with pytest.raises(UserError) as raised:
        read_label_volume(save_nifti(tmp_path / "a.nii", label))
    message = str(raised.value)
    assert words in message and "a.nii: labels must be whole numbers; 1 of 3 voxels" in message


# ---- damage ------------------------------------------------------------------------------------


@quickly
@given(st.data())
def test_a_flipped_byte_of_a_gzip_stream_is_noticed_as_by_gzip(tmp_path: Path, data: Any) -> None:
    good = save_nifti(tmp_path / "good.nii.gz", noise((6, 5, 4), "u1"))
    content = bytearray(good.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(content)
    try:
        unpacked = gzip.decompress(bytes(content))  # which compares checksum and length
    except Exception:
        with pytest.raises(UserError, match=r"bad\.nii\.gz: "):
            read_volume(bad)
        return
    assert unpacked == gzip.decompress(good.read_bytes())  # a time or name in gzip's own header
    np.testing.assert_array_equal(read_volume(bad).image, read_volume(good).image)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_more_or_less_than_the_header_says(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    itk_save(path, noise((6, 5, 4), "u1"), np.eye(4), suffix != ".nii")
    whole = path.read_bytes()
    path.write_bytes(whole + b"more")
    with pytest.raises(UserError, match=r"is damaged"):
        read_volume(path)
    path.write_bytes(whole[:-3])
    with pytest.raises(UserError, match=r"cannot be read, it may be truncated"):
        read_volume(path)
    if suffix == ".nii.gz":
        content = gzip.decompress(whole)
        path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]) + bytes(512))
        read_volume(path)  # two members, and zeros behind, are as good to gzip
        path.write_bytes(whole + gzip.compress(b"more"))
        with pytest.raises(UserError, match=r"is damaged: holds more than"):
            read_volume(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".png", ".tif"])
def test_a_flipped_byte_of_packed_voxels_is_noticed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix in (".png", ".tif"):
        options = {"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}
        Image.fromarray(noise((30, 20), "u1")).save(path, **options)
    else:
        itk_save(path, noise((9, 8, 7), "u1"), np.eye(4), True)
    whole, good = path.read_bytes(), read_volume(path).image
    start = {".mha": whole.index(b"LOCAL\n") + 6 if suffix == ".mha" else 0,
             ".nrrd": whole.index(b"\n\n") + 12 if suffix == ".nrrd" else 0,
             ".png": 8, ".tif": 8}[suffix]  # fmt: skip
    for at in range(start, start + 300, 7):
        bad = bytearray(whole)
        bad[at] ^= 0x10
        path.write_bytes(bad)
        try:
            found = read_volume(path).image
        except UserError:
            continue
        np.testing.assert_array_equal(found, good)


# ---- the boundary ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.tif"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, name):
    import os

    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="is no regular file"):
        read_volume(tmp_path / name)
    (tmp_path / "folder" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="is no regular file"):
        read_volume(tmp_path / "folder" / name)


@pytest.mark.parametrize("kind", ["nhdr", "mhd", "list", "counter", "link", "fifo"])
def test_a_detached_header_names_regular_files_below_its_folder(tmp_path, kind):
    import os

    inside, secret = tmp_path / "in", tmp_path / "secret.raw"
    inside.mkdir()
    secret.write_bytes(bytes(24))
    name = "../secret.raw"
    if kind == "link":
        (inside / "x.raw").symlink_to(secret)
        name = "x.raw"
    elif kind == "fifo":
        os.mkfifo(inside / "x.raw")
        name = "x.raw"
    if kind in ("nhdr", "link", "fifo"):
        path = nrrd_of(inside / "a.nhdr", NRRD_HEAD + DIRECTIONS + f"data file: {name}\n", b"")
    elif kind == "list":
        path = nrrd_of(
            inside / "a.nhdr", NRRD_HEAD + DIRECTIONS + f"datafile: LIST\n{secret}\n", b""
        )
    elif kind == "counter":
        (tmp_path / "s1.raw").write_bytes(bytes(24))
        path = meta_of(inside / "a.mhd", META, b"", "../s%d.raw 1 1 1")
    else:
        path = meta_of(inside / "a.mhd", META, b"", name)
    with pytest.raises(UserError, match=r"is not within|no such file"):
        read_volume(path)


def test_more_than_memory_holds_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    from ssl_methods.data import content

    path = save_nifti(tmp_path / "a.nii.gz", np.zeros((64, 64, 64), np.uint8))
    monkeypatch.setattr(content, "free_memory", lambda: 100_000)
    with pytest.raises(UserError, match=r"a\.nii\.gz: its voxels take .* GB of memory are free"):
        read_volume(path)


def test_a_header_is_picklable_and_small():
    assert len(pickle.dumps(Header())) < 1000
