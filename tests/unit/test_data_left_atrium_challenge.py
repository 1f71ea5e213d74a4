"""The challenge's own files to the store: the field's crop, and none."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest

from ssl_methods.data.importers.left_atrium_challenge import LeftAtriumChallengeDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store
from ssl_methods.errors import UserError

SHAPE = (170, 160, 9)
BOX = (slice(60, 80), slice(30, 150), slice(3, 6))  # 20 and 120 voxels in x and y
HEADER = {
    "space": "left-posterior-superior",
    "space directions": np.diag([0.625] * 3),
    "space origin": np.array([-50.0, 20.0, 3.0]),
}


def write_scan(folder: Path, seed: int, labeled: bool = True) -> np.ndarray:
    """Bytes, as the challenge has them; returns the image."""
    folder.mkdir(parents=True)
    image = np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
    label = np.zeros(SHAPE, np.uint8)
    label[BOX] = 255
    nrrd.write(str(folder / "lgemri.nrrd"), image, HEADER)
    if labeled:
        nrrd.write(str(folder / "laendo.nrrd"), label, HEADER)
    return image


def dataset(folder: Path, **settings) -> LeftAtriumChallengeDataset:
    return LeftAtriumChallengeDataset(
        name="la", importer="left_atrium_challenge", path=folder, **settings
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_fields_crop(tmp_path, seed):
    """At most 19 voxels beside the label, or what a patch of 112 needs; all slices; scaled before
    the crop."""
    images = {f"case{i}": write_scan(tmp_path / "la" / f"case{i}", i) for i in range(4)}
    given = dataset(tmp_path / "la", margin_seed=seed, test_cases=1)
    store = Store.open(prepare(given, tmp_path / "out"))
    assert store.manifest.crop_used_label
    corners = set()
    for case_id, image in images.items():
        found, label = store.image(case_id)[0], store.label(case_id)
        assert found.shape[2] == SHAPE[2]
        x, y = (np.flatnonzero(label.any(axis=axes)) for axes in ((1, 2), (0, 2)))
        assert (len(x), len(y)) == (20, 120)
        before, after = x[0], label.shape[0] - x[-1]
        more = (112 - 19) // 2  # the released script counts from the first to the last voxel
        assert 10 + more <= before <= 19 + more
        assert 10 + more <= after <= 19 + more
        assert 10 <= y[0] <= 19
        assert label.shape[1] == y[-1] + min(label.shape[1] - y[-1], 19)
        scaled = (image - image.mean()) / image.std()
        start = [int(60 - x[0]), int(30 - y[0])]
        window = scaled[start[0] : start[0] + found.shape[0], start[1] : start[1] + found.shape[1]]
        np.testing.assert_allclose(found, window, atol=1e-5)
        corners.add((*start, *found.shape))
        # The first voxel kept lies where it lay: LPS in the file, RAS in the store.
        origin = np.array(store.cases[case_id].affine)[:3, 3]
        expected = np.array([-50 + 0.625 * start[0], 20 + 0.625 * start[1], 3.0]) * [-1, -1, 1]
        np.testing.assert_allclose(origin, expected, atol=1e-4)
    assert len(corners) > 1  # each scan has margins of its own


def test_margins_depend_on_the_seed_and_the_id_alone(tmp_path):
    write_scan(tmp_path / "la" / "a", 0)
    write_scan(tmp_path / "la" / "b", 1)
    shapes = []
    for out, seed in (("one", 0), ("two", 0), ("three", 1)):
        given = dataset(tmp_path / "la", margin_seed=seed, test_cases=1)
        store = Store.open(prepare(given, tmp_path / out))
        shapes.append([store.image(case_id).shape for case_id in ("a", "b")])
    assert shapes[0] == shapes[1] != shapes[2]


def test_no_crop_by_the_reference(tmp_path):
    image = write_scan(tmp_path / "la" / "a", 0)
    write_scan(tmp_path / "la" / "b", 1)
    write_scan(tmp_path / "la" / "c", 2, labeled=False)
    given = dataset(tmp_path / "la", field_crop=False, test_cases=1)
    store = Store.open(prepare(given, tmp_path / "out"))
    assert not store.manifest.crop_used_label
    assert store.image("a").shape == (1, *SHAPE)
    scaled = (image - image.mean()) / image.std()
    np.testing.assert_allclose(store.image("a")[0], scaled, atol=1e-5)
    assert not store.cases["c"].labeled


def test_a_scan_without_a_label_cannot_be_cropped_with_it(tmp_path):
    write_scan(tmp_path / "la" / "a", 0)
    write_scan(tmp_path / "la" / "b", 1)
    write_scan(tmp_path / "la" / "c", 2, labeled=False)
    with pytest.raises(UserError, match=r"case 'c': .* set dataset.field_crop: false"):
        prepare(dataset(tmp_path / "la", test_cases=1), tmp_path / "out")


def test_the_fields_lists_are_kept(tmp_path):
    for index, name in enumerate("abc"):
        write_scan(tmp_path / "la" / name, index)
    (tmp_path / "la" / "train.list").write_text("c\nb\n")
    (tmp_path / "la" / "test.list").write_text("a\n")
    store = Store.open(prepare(dataset(tmp_path / "la"), tmp_path / "out"))
    assert (store.ids("train"), store.ids("test")) == (["c", "b"], ["a"])
