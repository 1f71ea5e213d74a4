"""Patches: the same for every method, anywhere in the volume, cut alike from image, label and
level set."""

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssl_methods.config import TrainingConfig
from ssl_methods.data.patches import Patch, draw_patch
from ssl_methods.data.sampling import Sampler, run_entropy, size_gb
from ssl_methods.data.splits import make_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.level_set import signed_distance

CPU = torch.device("cpu")
TRAINING = TrainingConfig(patch_size=(16, 16, 16))


@pytest.fixture
def store(prepared_results, experiment):
    return Store.open(store_folder(experiment().dataset, prepared_results))


def make_sampler(store, training=TRAINING, entropy=5, targets=frozenset({"level_set"}), budget=2):
    split = make_split(store, budget, 0)
    return Sampler(store, split.labeled, split.unlabeled, training, entropy, targets, CPU)


def equal(left, right):
    assert torch.equal(left.labeled_images, right.labeled_images)
    assert torch.equal(left.labels, right.labels)
    assert torch.equal(left.unlabeled_images, right.unlabeled_images)
    assert torch.equal(left.level_sets, right.level_sets)


def test_shapes_and_ranges(store):
    batch = make_sampler(store).batch(0)
    assert batch.labeled_images.shape == batch.unlabeled_images.shape == (2, 1, 16, 16, 16)
    assert batch.labels.shape == batch.level_sets.shape == (2, 1, 16, 16, 16)
    assert set(batch.labels.unique().tolist()) <= {0.0, 1.0}


def test_a_step_does_not_depend_on_earlier_ones(store):
    """What makes a resumed run draw what it would have drawn."""
    walked, direct = make_sampler(store), make_sampler(store)
    for t in range(7):
        walked.batch(t)
    equal(walked.batch(7), direct.batch(7))


def test_labeled_patches_do_not_depend_on_the_unlabeled_stream(store):
    training = TRAINING.model_copy(update={"unlabeled_batch": 0})
    alone, both = make_sampler(store, training).batch(3), make_sampler(store).batch(3)
    assert torch.equal(alone.labeled_images, both.labeled_images)
    assert alone.unlabeled_images.shape == (0, 1, 16, 16, 16)


def test_every_method_sees_the_same_patches(experiment):
    runs = list(experiment(subsets=2, seeds=2, budgets=[2, "all"]).runs())
    by_cell = {}
    for run in runs:
        by_cell.setdefault((run.budget, run.subset, run.seed), set()).add(run_entropy(run))
    assert all(len(entropies) == 1 for entropies in by_cell.values())
    assert len(set.union(*by_cell.values())) == len(by_cell) == 8


def test_each_pass_is_a_permutation(store):
    sampler = make_sampler(store, budget=1.0)
    cases = len(sampler.labeled.ids)
    for epoch in range(3):
        drawn = [sampler._case(0, epoch * cases + i, cases) for i in range(cases)]
        assert sorted(drawn) == list(range(cases))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(4, 14)] * 3),
    seed=st.integers(0, 2**32),
)
def test_image_and_label_are_cut_alike(shape, seed):
    """Voxels keep their identity: the patch of the index volume says where each voxel came from."""
    training = TrainingConfig(patch_size=(8, 6, 10))
    index = torch.arange(1, np.prod(shape) + 1, dtype=torch.float64).reshape(1, *shape)
    patch = draw_patch(np.random.default_rng(seed), 0, shape, training)
    cut = patch.cut(index)
    assert cut.shape == (1, 8, 6, 10)
    inside = cut[cut > 0]
    assert len(inside.unique()) == len(inside)
    taken = [min(have, want) for have, want in zip(shape, patch.size, strict=True)]
    assert len(inside) == np.prod(taken)
    assert torch.equal(patch.cut(2 * index), 2 * cut)


@settings(max_examples=30, deadline=None)
@given(turns=st.integers(0, 3), flips=st.sets(st.sampled_from([1, 2, 3])))
def test_orientation_equals_numpy(turns, flips):
    volume = torch.rand(1, 5, 5, 4, generator=torch.Generator().manual_seed(0))
    patch = Patch(0, (0, 0, 0), (5, 5, 4), turns, tuple(sorted(flips)))
    expected = np.flip(np.rot90(volume.numpy(), turns, (1, 2)), tuple(flips))
    np.testing.assert_array_equal(patch.cut(volume).numpy(), expected)


def test_all_starts_are_reached():
    training = TrainingConfig(patch_size=(8, 8, 8), rotate=False, flip_axes=())
    rng = np.random.default_rng(0)
    starts = {draw_patch(rng, 0, (10, 8, 9), training).start for _ in range(300)}
    assert starts == {(i, 0, k) for i in range(3) for k in range(2)}


RELEASED = {"orientations": "released", "crop": "released"}


def released_patch(volume, size, rng):
    """The augmentation of UA-MT's code, from its description: a quarter turn and one flip of the
    whole volume, then padding and a crop that never takes the last place."""
    turned = np.flip(np.rot90(volume, rng.integers(4)), rng.integers(2))
    gaps = np.array(size) - turned.shape
    if (gaps >= 0).any():
        sides = np.maximum(gaps // 2 + 3, 0)
        turned = np.pad(turned, [(side, side) for side in sides])
    start = [rng.integers(0, have - want) for have, want in zip(turned.shape, size, strict=True)]
    return turned[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))]


@pytest.mark.parametrize("shape", [(5, 6, 4), (4, 6, 3), (3, 3, 9), (2, 5, 3)])
def test_released_patches_are_those_of_the_released_augmentation(shape):
    """The same set of patches, each with the same share, orientation and padding included."""
    training = TrainingConfig(patch_size=(4, 4, 3), **RELEASED)
    volume = np.arange(1, np.prod(shape) + 1).reshape(shape)
    rng, count = np.random.default_rng(0), 8_000
    expected, found = Counter(), Counter()
    for _ in range(count):
        expected[released_patch(volume, (4, 4, 3), rng).tobytes()] += 1
        patch = draw_patch(rng, 0, shape, training)
        found[patch.cut(volume[None])[0].numpy().tobytes()] += 1
    kinds = expected.keys() | found.keys()
    # The sum of squared standardised differences of two samples: chi-squared, of kinds - 1 degrees.
    chi2 = sum((expected[k] - found[k]) ** 2 / (expected[k] + found[k]) for k in kinds)
    assert expected.keys() == found.keys() or min(len(expected), len(found)) > 2000
    assert stats.chi2.sf(chi2, len(kinds) - 1) > 1e-4


def test_of_eight_orientations_the_released_four_are_mirrored_ones():
    """A mirrored one has determinant -1; the scan's own never occurs. Each as often."""
    volume, rng = torch.arange(9.0).reshape(1, 3, 3, 1), np.random.default_rng(1)
    training = TrainingConfig(patch_size=(3, 3, 1), orientations="released")
    seen = Counter(
        tuple(draw_patch(rng, 0, (3, 3, 1), training).cut(volume).flatten().tolist())
        for _ in range(4000)
    )
    plane = volume[0, :, :, 0].numpy()
    mirrored = {tuple(np.rot90(plane.T, k).flatten().tolist()) for k in range(4)}
    assert seen.keys() == mirrored
    assert all(900 < count < 1100 for count in seen.values())


def test_what_an_experiment_switches_off_stays_off():
    training = TrainingConfig(patch_size=(3, 3, 2), rotate=False, flip_axes=(), **RELEASED)
    rng = np.random.default_rng(0)
    drawn = [draw_patch(rng, 0, (5, 4, 3), training) for _ in range(50)]
    assert {(patch.turns, patch.flips) for patch in drawn} == {(0, ())}
    assert {patch.start for patch in drawn} == {(i, 0, 0) for i in range(2)}


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(*[st.integers(2, 14)] * 3), seed=st.integers(0, 2**32))
def test_released_patches_of_any_volume_keep_their_voxels(shape, seed):
    training = TrainingConfig(patch_size=(8, 6, 10), **RELEASED)
    index = torch.arange(1, np.prod(shape) + 1, dtype=torch.float64).reshape(1, *shape)
    cut = draw_patch(np.random.default_rng(seed), 0, shape, training).cut(index)
    assert cut.shape == (1, 8, 6, 10)
    inside = cut[cut > 0]
    assert len(inside.unique()) == len(inside)


@pytest.mark.parametrize("source", ["patch", "volume"])
def test_released_patches_too_are_the_same_from_held_volumes(store, source):
    training = TRAINING.model_copy(update={"level_set_from": source, **RELEASED})
    files, held = make_sampler(store, training), make_sampler(store, training)
    for volumes in (held.labeled, held.unlabeled, held.labels):
        volumes.held = [torch.from_numpy(np.array(volumes.read(id))) for id in volumes.ids]
    for t in (4, 0, 2):
        equal(files.batch(t), held.batch(t))


# SHA-256 of the patches below, as they were before there was another way to orient and to crop.
UNIFIED = "b947217bd2d782e5ab6427fa0bb5383646dc8f7f47d3f325a2531e29d552e478"


def test_the_unified_recipe_draws_what_it_always_drew():
    training = TrainingConfig(patch_size=(6, 4, 5))
    rng, found = np.random.default_rng(7), hashlib.sha256()
    for n in range(200):
        shape = (3 + n % 7, 9 - n % 6, 4 + n % 5)
        volume = np.arange(1, np.prod(shape) + 1, dtype=np.int32).reshape(1, *shape)
        found.update(draw_patch(rng, 0, shape, training).cut(volume).numpy().tobytes())
    assert found.hexdigest() == UNIFIED


@pytest.mark.parametrize("source", ["patch", "volume"])
def test_level_sets_belong_to_the_labels(store, source):
    sampler = make_sampler(store, TRAINING.model_copy(update={"level_set_from": source}))
    for t in range(4):
        batch = sampler.batch(t)
        inside = batch.labels > 0
        assert (batch.level_sets[inside] <= 0).all()
        assert (batch.level_sets[~inside] > 0).all()
        if source == "patch":
            expected = [signed_distance(label[0].numpy() > 0) for label in batch.labels]
            np.testing.assert_array_equal(batch.level_sets[:, 0].numpy(), np.stack(expected))


@pytest.mark.parametrize("source", ["patch", "volume"])
def test_volumes_held_and_volumes_in_files_give_the_same_bits(store, source):
    """Where the device is no GPU too, so that this can be seen without one."""
    training = TRAINING.model_copy(update={"level_set_from": source})
    files, held = make_sampler(store, training), make_sampler(store, training)
    for volumes in (held.labeled, held.unlabeled, held.labels):
        volumes.held = [torch.from_numpy(np.array(volumes.read(id))) for id in volumes.ids]
    for t in range(5):
        equal(files.batch(t), held.batch(t))


def test_a_thread_a_step_ahead_changes_nothing(store):
    """In turn, from the midst as after a resumption, and not in turn."""
    alone, ahead = make_sampler(store), make_sampler(store)
    with ThreadPoolExecutor(1) as ahead.thread:
        for t in (3, 4, 5, 0, 1, 9):
            equal(alone.batch(t), ahead.batch(t))


def test_a_cpu_reads_files_and_has_no_thread(store):
    sampler = make_sampler(store)
    assert sampler.labeled.held is None and sampler.thread is None


def test_size_in_memory_is_that_of_the_arrays(store):
    ids = store.ids("train")
    images = sum(store.image(id).nbytes for id in ids)
    labels = sum(store.label(id).nbytes for id in ids[:2])
    assert size_gb(store, ids[:2], ids[2:], False) == pytest.approx((images + labels) / 2**30)
    with_level_sets = (images + 5 * labels) / 2**30  # float32 beside uint8, one class
    assert size_gb(store, ids[:2], ids[2:], True) == pytest.approx(with_level_sets)


def test_without_level_set_target_there_is_none(store):
    assert make_sampler(store, targets=frozenset()).batch(0).level_sets is None
