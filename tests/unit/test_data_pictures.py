"""Pictures: pixels where they belong, masks as class numbers, tiles kept together by slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssl_methods.data.draw import drawn
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.pictures import read_mask, read_picture
from ssl_methods.data.prepare import prepare
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store
from ssl_methods.data.volumes import read_label_volume, read_volume, write_label
from ssl_methods.errors import UserError
from ssl_methods.evaluation.compare import compare_files


def colours(rows: int = 5, columns: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


# ---- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.tif", "a.tiff"])
def test_x_goes_right_and_y_up(tmp_path, name):
    rows = colours()
    volume = read_volume(save(tmp_path / name, rows), pixel_size_mm=0.5)
    assert volume.image.shape == (3, 7, 5) and volume.image.dtype == np.float32
    assert volume.spacing == (0.5, 0.5)
    for x in range(7):
        for y in range(5):
            np.testing.assert_array_equal(volume.image[:, x, y], rows[4 - y, x])


def test_jpeg_is_read_as_colours(tmp_path):
    flat = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    image = read_picture(save(tmp_path / "a.jpg", flat, quality=95))
    assert np.abs(image - np.array([200, 30, 90])[:, None, None]).max() < 4


def test_a_camera_s_rotation_is_applied(tmp_path):
    rows = colours()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    turned = read_picture(save(tmp_path / "a.png", rows, exif=exif))
    plain = read_picture(save(tmp_path / "b.png", np.rot90(rows, -1)))
    np.testing.assert_array_equal(turned, plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_has_one_channel_and_its_own_range(tmp_path, dtype):
    rows = (colours()[..., 0].astype(dtype) * (100 if dtype is np.uint16 else 1)).astype(dtype)
    image = read_picture(save(tmp_path / "a.tif", rows))
    np.testing.assert_array_equal(image, rows[::-1].T[np.newaxis])


def test_an_opaque_alpha_channel_is_dropped_and_another_refused(tmp_path):
    rows = colours()
    opaque = np.dstack([rows, np.full(rows.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(
        read_picture(save(tmp_path / "a.png", opaque)), read_picture(save(tmp_path / "b.png", rows))
    )
    opaque[1, 2, 3] = 7
    with pytest.raises(UserError, match=r"c\.png: is transparent"):
        read_picture(save(tmp_path / "c.png", opaque))


def test_what_is_no_picture_of_one_page_is_named(tmp_path):
    whole = save(tmp_path / "a.png", colours(60, 60)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png: cannot be read"):
        read_volume(tmp_path / "cut.png")
    pages = [Image.fromarray(colours(seed=seed)) for seed in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"stack\.tif: holds 3 pages"):
        read_volume(tmp_path / "stack.tif")
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(UserError, match=r"print\.jpg: its pixels are CMYK"):
        read_volume(tmp_path / "print.jpg")


# ---- masks ---------------------------------------------------------------------------------------


def classes(rows: int = 5, columns: int = 7) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (rows, columns), dtype=np.uint8)


def test_a_mask_comes_back_as_it_was_written(tmp_path):
    label = classes()
    save(tmp_path / "scan.jpg", label.T)
    write_label(tmp_path / "a.png", label, read_volume(tmp_path / "scan.jpg"))
    np.testing.assert_array_equal(read_label_volume(tmp_path / "a.png").image, label)


def test_a_written_mask_lies_over_its_picture(tmp_path):
    rows = colours()
    rows[1, 2] = 255
    scan = read_volume(save(tmp_path / "a.png", rows))
    label = (scan.image.min(axis=0) == 255).astype(np.uint8)
    write_label(tmp_path / "mask.png", label, scan)
    with Image.open(tmp_path / "mask.png") as mask:
        np.testing.assert_array_equal(np.argwhere(np.asarray(mask)), [[1, 2]])


def test_every_way_to_save_a_mask_means_the_same(tmp_path):
    binary = (classes() > 0).astype(np.uint8)
    upright = binary[::-1].T
    palette = Image.fromarray(binary, "P")
    palette.putpalette([10, 200, 30, 250, 0, 120])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(binary.astype(bool)).save(tmp_path / "bits.png")
    save(tmp_path / "numbers.png", binary)
    save(tmp_path / "white.png", binary * 255)
    save(tmp_path / "rgb.png", np.dstack([binary * 255] * 3))
    for name in ("palette", "bits", "numbers", "white", "rgb"):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), upright, err_msg=name)


def test_masks_that_say_no_class_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.png: is a mask in colours"):
        read_mask(save(tmp_path / "a.png", colours()))
    smooth = np.array([[0, 128, 255], [0, 0, 255]], np.uint8)
    with pytest.raises(UserError, match=r"b\.png: a mask of grey levels"):
        read_mask(save(tmp_path / "b.png", smooth))
    with pytest.raises(UserError, match=r"c\.jpg: JPEG changes"):
        read_mask(save(tmp_path / "c.jpg", classes()))


def test_masks_are_compared_as_label_files(tmp_path):
    one, two = np.zeros((2, 6, 8), np.uint8)
    one[1:4, 2:6] = two[1:4, 3:6] = 1
    found = compare_files(save(tmp_path / "a.png", one * 255), save(tmp_path / "b.png", two))
    assert found["dice"] == pytest.approx(2 * 9 / (12 + 9))


# ---- folders of tiles ----------------------------------------------------------------------------


def slides(folder: Path, labeled: int = 6, tiles: int = 3) -> FolderDataset:
    """Slides s0, s1, ... of tiles each; the last tile of each slide has no label."""
    for slide in range(labeled):
        for tile in range(tiles):
            rows = colours(8, 8, seed=10 * slide + tile)
            save(folder / "images" / f"s{slide}" / f"t{tile}.png", rows)
            if tile < tiles - 1:
                mask = (rows[..., 0] > 128).astype(np.uint8) * 255
                save(folder / "labels" / f"s{slide}" / f"t{tile}.png", mask)
    return FolderDataset(
        name="tiles", importer="folder", path=folder, test_cases=3, pixel_size_mm=0.25
    )


def test_a_slide_is_on_one_side_only(tmp_path):
    dataset = slides(tmp_path / "data")
    store = Store.open(prepare(dataset, tmp_path / "results"))
    assert store.channels == 3 and store.dimensions == 2
    split = make_split(store, 3, 0, validation_cases=1)
    assert store.cases["s0-t1"].group == "s0" and store.cases["s0-t1"].spacing == (0.25, 0.25)
    sides = [split.labeled + split.unlabeled, split.validation, split.test]
    groups = [{store.cases[case].group for case in side} for side in sides]
    assert all(groups) and sum(map(len, groups)) == len(set().union(*groups)) == 6
    assert (len(split.validation), len(split.test)) == (2, 4)  # whole slides of two labeled tiles
    assert "t2" in {case.partition("-")[2] for case in split.unlabeled}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(0, 12), st.integers(0, 9))
def test_units_are_drawn_whole_and_no_more_than_needed(sizes, count, key):
    units = {f"{unit}.{i}": str(unit) for unit, size in enumerate(sizes) for i in range(size)}
    chosen = drawn(units, count, key)
    assert len(chosen) >= min(count, len(units))
    taken = {units[case] for case in chosen}
    assert chosen == {case for case in units if units[case] in taken}
    assert not chosen or len(chosen) - max(sizes[int(unit)] for unit in taken) < count


def test_a_test_list_may_name_slides_but_not_divide_one(tmp_path):
    dataset = slides(tmp_path)
    (tmp_path / "test.list").write_text("s1\ns4\n")
    cases = read_source(dataset).cases
    assert {case.group for case in cases if case.split == "test"} == {"s1", "s4"}
    (tmp_path / "test.list").write_text("s1-t0\n")
    with pytest.raises(UserError, match="'s1' has both training and test cases"):
        read_source(dataset)


def test_one_slide_cannot_be_divided(tmp_path):
    with pytest.raises(UserError, match=r"leaves no labeled training case: 2 cases .* in 1 groups"):
        read_source(slides(tmp_path, labeled=1))


def test_two_files_of_one_id_are_refused(tmp_path):
    dataset = slides(tmp_path, labeled=2)
    save(tmp_path / "images" / "s0-t0.png", colours())
    with pytest.raises(UserError, match="case id 's0-t0' is also that of"):
        read_source(dataset)
