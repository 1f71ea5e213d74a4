"""The prepared store: whole, current, verified; and geometry against independent references."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import nibabel.processing
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_methods.data import geometry
from ssl_methods.data.importers.folder import FolderDataset
from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.prepare import prepare, source_fingerprint
from ssl_methods.data.preprocessing import normalised, prepare_image
from ssl_methods.data.store import Store, case_file, store_folder
from ssl_methods.errors import UserError
from ssl_methods.locks import held


def phantom(**changes) -> PhantomDataset:
    declared = {
        "name": "tiny",
        "importer": "phantom",
        "shape": (16, 12, 10),
        "train_cases": 3,
        "test_cases": 2,
    }
    return PhantomDataset(**declared | changes)


def folder_dataset(path: Path, **changes) -> FolderDataset:
    return FolderDataset(**{"name": "scans", "importer": "folder", "path": path} | changes)


def write_scans(folder: Path, count: int = 3, shape=(10, 9, 8), spacing=(1.0, 1.0, 2.0)) -> None:
    """Random images, and a box as label."""
    rng = np.random.default_rng(0)
    affine = np.diag([*spacing, 1.0])
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image = rng.normal(100, 20, shape).astype(np.float32)
        label = np.zeros(shape, dtype=np.uint8)
        label[3:7, 2:6, 2:6] = 1
        nibabel.save(nibabel.Nifti1Image(image, affine), folder / "images" / f"s{index}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, affine), folder / "labels" / f"s{index}.nii.gz")


# ---- the store -----------------------------------------------------------------------------------


def test_arrays_are_as_the_manifest_says(tmp_path):
    store = Store.open(prepare(phantom(), tmp_path))
    assert store.folder == store_folder(phantom(), tmp_path)
    assert store.ids("train") == ["train_0000", "train_0001", "train_0002"]
    assert store.ids("test") == ["test_0000", "test_0001"]
    assert (store.dimensions, store.channels, store.classes) == (3, 1, ["foreground"])
    for case_id, case in store.cases.items():
        image, label = store.image(case_id), store.label(case_id)
        assert isinstance(image, np.memmap) and not image.flags.writeable
        assert image.dtype == np.float32 and image.flags.c_contiguous
        assert image.shape == (1, *case.shape) == (1, 16, 12, 10)
        assert label.dtype == np.uint8 and label.shape == case.shape
        assert case.foreground_voxels == [np.count_nonzero(label)]
        assert image.mean() == pytest.approx(0, abs=1e-5) and image.std() == pytest.approx(1)
    store.verify(store.cases)


def test_a_changed_array_is_found_and_named(tmp_path):
    store = Store.open(prepare(phantom(), tmp_path))
    path = case_file(store.folder, "train_0001", "label")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store.verify(["train_0000", "test_0000"])
    with pytest.raises(UserError, match=r"case 'train_0001': .*label\.npy .*checksum"):
        store.verify(store.cases)


def test_an_unprepared_folder_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run 'prepare'"):
        Store.open(tmp_path)


def test_a_broken_manifest_names_its_key(tmp_path):
    folder = prepare(phantom(), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["channels"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"manifest\.json: channels"):
        Store.open(folder)


def test_the_same_settings_give_the_same_bytes_with_any_number_of_workers(tmp_path):
    one = prepare(phantom(), tmp_path / "one")
    two = prepare(phantom(), tmp_path / "two", workers=2)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 13
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_prepared_again_only_if_the_source_changed_or_a_file_is_gone(tmp_path):
    write_scans(tmp_path / "source")
    dataset = folder_dataset(tmp_path / "source")
    folder = prepare(dataset, tmp_path)
    made = (folder / "manifest.json").stat()

    prepare(dataset, tmp_path)
    assert (folder / "manifest.json").stat() == made

    case_file(folder, "s1", "image").unlink()
    prepare(dataset, tmp_path)
    assert case_file(folder, "s1", "image").is_file()

    before, fingerprint = Store.open(folder).manifest, source_fingerprint(dataset)
    (tmp_path / "source" / "labels" / "s2.nii.gz").unlink()
    assert source_fingerprint(dataset) != fingerprint
    prepare(dataset, tmp_path)
    after = Store.open(folder)
    assert before.cases[2].labeled and not after.cases["s2"].labeled
    assert not case_file(folder, "s2", "label").exists()


def test_new_times_alone_change_no_byte_of_the_manifest(tmp_path):
    """Training depends on the manifest: scans that were merely copied retrain nothing."""
    write_scans(tmp_path / "source")
    dataset = folder_dataset(tmp_path / "source")
    folder = prepare(dataset, tmp_path)
    manifest, fingerprint = (folder / "manifest.json").read_bytes(), source_fingerprint(dataset)
    for scan in (tmp_path / "source").rglob("*.nii.gz"):
        os.utime(scan, (1, 1))
    assert source_fingerprint(dataset) != fingerprint
    prepare(dataset, tmp_path)
    assert (folder / "manifest.json").read_bytes() == manifest


def test_other_settings_are_another_store(tmp_path):
    assert store_folder(phantom(), tmp_path) != store_folder(phantom(seed=1), tmp_path)


def test_a_failure_leaves_the_old_store_and_no_rubbish(tmp_path):
    write_scans(tmp_path / "source")
    dataset = folder_dataset(tmp_path / "source")
    folder = prepare(dataset, tmp_path)
    old = Store.open(folder).manifest
    (tmp_path / "source" / "images" / "s0.nii.gz").write_bytes(b"")
    with pytest.raises(UserError, match="s0"):
        prepare(dataset, tmp_path)
    assert Store.open(folder).manifest == old
    Store.open(folder).verify(["s0", "s1", "s2"])
    left = [
        path.name for path in (tmp_path / "prepared").iterdir() if not path.name.endswith(".lock")
    ]
    assert left == [folder.name]


def test_what_a_killed_preparation_left_is_cleared(tmp_path):
    folder = store_folder(phantom(), tmp_path)
    left_over = folder.with_name(f".{folder.name}.building") / "cases" / "ghost"
    left_over.mkdir(parents=True)
    prepare(phantom(), tmp_path)
    assert not left_over.exists() and not (folder / "cases" / "ghost").exists()


def test_workers_do_not_outlive_a_killed_preparation(tmp_path):
    context = multiprocessing.get_context("spawn")
    job = context.Process(target=prepare, args=(phantom(train_cases=500), tmp_path, 2))
    job.start()
    give_up = time.monotonic() + 120
    while not list(tmp_path.rglob("image.npy")):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    workers = psutil.Process(job.pid).children(recursive=True)
    job.kill()
    job.join()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert workers and not alive


def test_two_processes_prepare_one_store(tmp_path):
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=prepare, args=(phantom(), tmp_path)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0]
    store = Store.open(store_folder(phantom(), tmp_path))
    store.verify(store.cases)


def test_planning_imports_nothing_heavy():
    code = (
        "import sys; import ssl_methods.data.prepare, ssl_methods.data.splits; "
        "print({'torch', 'scipy', 'nibabel', 'h5py', 'nrrd'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# ---- crop ----------------------------------------------------------------------------------------


def test_crop_to_the_label_keeps_the_margin_in_mm(tmp_path):
    write_scans(tmp_path / "source", spacing=(1.0, 1.0, 2.0))
    dataset = folder_dataset(tmp_path / "source", crop="label", crop_margin_mm=2.0)
    store = Store.open(prepare(dataset, tmp_path))
    case = store.cases["s0"]
    # label 3:7, 2:6, 2:6; 2 mm are 2, 2 and 1 voxels: 1:9, 0:8, 1:7
    assert case.shape == (8, 8, 6)
    assert case.affine is not None
    assert np.array(case.affine)[:3, 3].tolist() == [1.0, 0.0, 2.0]
    assert store.manifest.crop_used_label
    assert case.foreground_voxels == [4 * 4 * 4]


def test_crop_to_the_non_zero_image():
    image = np.zeros((1, 12, 12), dtype=np.float32)
    image[0, 4:7, 5:9] = np.arange(1, 13).reshape(3, 4)
    dataset = phantom(shape=(12, 12), crop="nonzero", crop_margin_mm=1.0, normalisation="none")
    cropped, spacing, affine = prepare_image(image, (0.5, 1.0), None, dataset)
    np.testing.assert_array_equal(cropped, image[:, 2:9, 4:10])
    assert spacing == (0.5, 1.0)
    assert (affine @ [0, 0, 0, 1]).tolist() == [1.0, 4.0, 0.0, 1.0]


@given(st.data())
def test_bounding_box_holds_all_and_no_more(data):
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * data.draw(st.integers(2, 3))))
    margin = data.draw(st.integers(0, 3))
    mask = np.zeros(shape, dtype=bool)
    for _ in range(data.draw(st.integers(1, 3))):
        mask[tuple(data.draw(st.integers(0, size - 1)) for size in shape)] = True
    box = geometry.bounding_box(mask, [margin] * len(shape))
    for side, inside, size in zip(box, np.nonzero(mask), shape, strict=True):
        assert (side.start, side.stop) == (
            max(0, inside.min() - margin),
            min(size, inside.max() + 1 + margin),
        )


# ---- resampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(15, 11, 9), (14, 17)])
@pytest.mark.parametrize("target", [0.7, 1.3, 2.6])
def test_a_linear_ramp_is_resampled_to_its_values_in_world_coordinates(shape, target):
    """Means and linear interpolation leave a plane as it is, away from the border."""
    spacing = (1.0, 1.2, 0.9)[: len(shape)]
    grid = geometry.Grid(shape, spacing, (target,) * len(shape))
    affine = geometry.affine_of(spacing)
    new_affine = geometry.shifted(affine, grid.start, grid.step)

    def plane(affine, shape):
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
        world = index @ affine[:3, : len(shape)].T + affine[:3, 3]
        return (world @ [1.0, -2.0, 0.5]).astype(np.float32)

    image = plane(affine, shape)
    inner = tuple(slice(n // 3, n - n // 3) for n in grid.shape)
    error = (grid.image(image) - plane(new_affine, grid.shape))[inner]
    # a voxel counts in parts where an edge of a larger one cuts it, which is no shift on the whole
    assert abs(error).max() < (1e-4 if target < 0.9 else 0.5)
    assert abs(error.mean()) < 0.02
    np.testing.assert_allclose(np.linalg.norm(new_affine[:3, : len(shape)], axis=0), target)


def test_upsampling_agrees_with_nibabel():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(12, 10, 8)).astype(np.float32)
    affine = np.diag([2.0, 1.5, 3.0, 1.0])
    affine[:3, 3] = (-10, 5, 7)
    grid = geometry.Grid(image.shape, (2.0, 1.5, 3.0), (1.0, 1.0, 1.0))
    new_affine = geometry.shifted(affine, grid.start, grid.step)
    expected = nibabel.processing.resample_from_to(
        nibabel.Nifti1Image(image, affine), (grid.shape, new_affine), order=1, mode="nearest"
    )
    np.testing.assert_allclose(grid.image(image), expected.get_fdata(), atol=1e-5)


def test_resampling_agrees_with_monai():
    import torch
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    image = np.random.default_rng(2).normal(size=(12, 8, 10)).astype(np.float32)
    grid = geometry.Grid(image.shape, (2.0, 1.5, 2.0), (1.0, 1.0, 1.3))
    affine = geometry.affine_of((2.0, 1.5, 2.0))
    resample = SpatialResample(mode="bilinear", padding_mode="border", align_corners=False)
    expected = resample(
        MetaTensor(torch.from_numpy(image[None]), affine=torch.from_numpy(affine)),
        dst_affine=torch.from_numpy(geometry.shifted(affine, grid.start, grid.step)),
        spatial_size=grid.shape,
    )
    np.testing.assert_allclose(grid.image(image), expected[0].numpy(), atol=1e-4)


def test_downsampling_agrees_with_skimage():
    """Where three voxels become one exactly, it is the mean of blocks."""
    from skimage.measure import block_reduce

    image = np.random.default_rng(4).normal(size=(12, 9, 6)).astype(np.float32)
    grid = geometry.Grid(image.shape, (0.5, 1.0, 2.0), (1.5, 3.0, 2.0))
    expected = block_reduce(image, (3, 3, 1), np.mean)
    np.testing.assert_allclose(grid.image(image), expected, atol=1e-6)


@given(st.integers(2, 30), st.floats(0.3, 5), st.integers(0, 2**32 - 1))
def test_resampling_stays_within_the_range_and_keeps_a_constant(size, target, seed):
    grid = geometry.Grid((size, 5), (1.0, 1.0), (target, 1.0))
    image = np.random.default_rng(seed).random((size, 5)).astype(np.float32)
    coarse = grid.image(image)
    assert coarse.shape == grid.shape == (max(1, round(size / target)), 5)
    assert image.min() - 1e-6 <= coarse.min() and coarse.max() <= image.max() + 1e-6
    np.testing.assert_allclose(grid.image(np.full((size, 5), 7, np.float32)), 7, rtol=1e-6)


@pytest.mark.parametrize("target", [0.6, 1.7, 3.0])
def test_labels_keep_volume_and_place(target):
    """Two balls of two classes, against their closed-form volumes and centres."""
    balls = {1: (9, (13, 14, 20)), 2: (7, (30.5, 27, 21))}
    label = np.zeros((40, 40, 40), dtype=np.uint8)
    for value, (radius, centre) in balls.items():
        offsets = np.indices(label.shape) - np.reshape(centre, (3, 1, 1, 1))
        label[(offsets**2).sum(0) < radius**2] = value
    grid = geometry.Grid(label.shape, (1.0,) * 3, (target,) * 3)
    coarse = grid.label(label, 2)
    affine = geometry.shifted(np.eye(4), grid.start, grid.step)
    for value, (radius, centre) in balls.items():
        found = np.argwhere(coarse == value)
        assert len(found) * target**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.05 * target)
        world = found.mean(0) @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(world, centre, atol=0.1 * target)


def test_a_wall_of_one_voxel_survives_a_doubling():
    for place in range(8, 12):
        wall = np.zeros((20, 20, 20), dtype=np.uint8)
        wall[place] = 1
        grid = geometry.Grid(wall.shape, (1.0,) * 3, (2.0, 1.0, 1.0))
        assert grid.label(wall, 1).any(axis=0).all()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3]),
    st.lists(st.floats(0.5, 2.0), min_size=3, max_size=3),
    st.sampled_from(["none", "nonzero"]),
)
def test_a_label_goes_to_the_prepared_grid_and_back(seed, dimensions, sizes, crop):
    """Oriented, shifted, cropped, resampled: a smooth body returns to where it was."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(24, 32, dimensions))
    spacing = tuple(sizes[:dimensions])
    centre = np.array([(size - 1) / 2 for size in shape]).reshape(-1, *[1] * dimensions)
    radius = np.sqrt(((np.indices(shape) - centre) ** 2).sum(0))
    body = (radius < 9).astype(np.uint8)
    image = np.where(radius < 11, 1 + rng.random(shape), 0).astype(np.float32)[np.newaxis]
    turn = np.eye(4)
    turn[:dimensions, :dimensions] = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    affine = turn @ geometry.affine_of(spacing)
    affine[:dimensions, 3] = rng.uniform(-50, 50, dimensions)
    target = tuple(0.8 * size for size in spacing)
    dataset = phantom(shape=(8,) * dimensions, spacing=target, crop=crop, crop_margin_mm=1.0)

    prepared, new_spacing, new_affine = prepare_image(image, spacing, affine, dataset)
    assert new_spacing == pytest.approx(target)
    np.testing.assert_allclose(np.linalg.norm(new_affine[:, :dimensions], axis=0), target)
    points = np.zeros((4, *prepared.shape[1:]))
    points[:dimensions], points[3] = np.indices(prepared.shape[1:]), 1
    original = np.einsum("ij,j...->i...", np.linalg.inv(affine) @ new_affine, points)
    on_prepared = (np.sqrt(((original[:dimensions] - centre) ** 2).sum(0)) < 9).astype(np.uint8)

    restored = geometry.restore_label(on_prepared, new_affine, shape, affine)
    assert restored.shape == shape and restored.dtype == np.uint8
    assert 2 * (restored & body).sum() / (restored.sum() + body.sum()) > 0.93


# ---- intensities ---------------------------------------------------------------------------------


def test_normalisation_by_its_definition():
    image = np.random.default_rng(3).gamma(2.0, 30.0, (2, 20, 20)).astype(np.float32)
    z = normalised(image, phantom())
    np.testing.assert_allclose(z[1], (image[1] - image[1].mean()) / image[1].std(), atol=1e-4)

    scaled = normalised(image, phantom(normalisation="percentile", clip_percentiles=(5, 95)))
    low, high = np.percentile(image[0].astype(np.float64), (5, 95))
    np.testing.assert_allclose(scaled[0], np.clip((image[0] - low) / (high - low), 0, 1), atol=1e-5)
    assert scaled.min() == 0 and scaled.max() == 1

    clipped = normalised(image, phantom(normalisation="none", clip_percentiles=(5, 95)))
    assert clipped[0].max() == pytest.approx(high, rel=1e-6)


# ---- what a killed preparation leaves ------------------------------------------------------------


@pytest.mark.parametrize("at", ["cases", "manifest", "old away", "new there"])
def test_what_a_killed_preparation_left_goes_with_the_next(at, experiment, tmp_path):
    dataset = experiment().dataset
    folder = prepare(dataset, tmp_path)
    manifest = (folder / "manifest.json").read_bytes()
    building, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("building", "old"))
    if at in ("cases", "manifest", "old away"):
        shutil.copytree(folder, building)
    if at == "cases":
        (building / "manifest.json").unlink()
    if at == "old away":
        folder.rename(old)
    if at == "new there":
        shutil.copytree(folder, old)
    other = dataset.model_copy(update={"name": "other"})
    prepare(other, tmp_path)  # of another data set
    left = {path.name for path in (tmp_path / "prepared").iterdir() if path.is_dir()}
    assert left == {folder.name, store_folder(other, tmp_path).name}
    assert (folder / "manifest.json").read_bytes() == manifest


def test_what_a_living_preparation_builds_stays(experiment, tmp_path):
    dataset = experiment().dataset
    folder = prepare(dataset, tmp_path)
    building = folder.with_name(f".{folder.name}.building")
    building.mkdir()
    with held(folder.with_name(f".{folder.name}.lock")):
        prepare(dataset, tmp_path)
        assert building.is_dir()
    prepare(dataset, tmp_path)
    assert not building.exists()
