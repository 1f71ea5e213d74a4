"""From source scans to the prepared store: check, normalise stains, crop, resample, scale, write.

``prepare`` does nothing if the store is there and its source unchanged. The new store is built in a
folder beside the old one and takes its place when complete, so a failure loses nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import (
    Dataset,
    DatasetBase,
    PhantomDataset,
    PhantomHistologyDataset,
    StainSettings,
    did_you_mean,
)
from ssl_methods.data import geometry
from ssl_methods.data.importers import (
    MAX_FAULTS,
    RawCase,
    Scan,
    Source,
    raise_faults,
    read_source,
    source_folder,
)
from ssl_methods.data.stains import StainNormaliser
from ssl_methods.data.store import (
    STAIN_REFERENCE,
    BrokenData,
    CaseRecord,
    Manifest,
    StainReference,
    Store,
    case_file,
    store_folder,
)
from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, write_json, write_text, write_with
from ssl_methods.locks import held
from ssl_methods.provenance import source_digest

logger = logging.getLogger(__name__)

# Beside the manifest, not in it: scans that were merely copied have new times, and retrain nothing.
SOURCE_FILE = "source.txt"

# ---- the store ----------------------------------------------------------------------------------


def prepare(dataset: Dataset, results: Path, workers: int = 1) -> Path:
    """Make the prepared store of a data set and return its folder.

    ``workers`` processes share the cases; memory grows with the workers, not with the data set.
    Raises UserError before anything is replaced, with one line per faulty case.
    """
    folder = store_folder(dataset, results)
    if is_current(dataset, folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held(folder.with_name(f".{folder.name}.lock")):
            if not is_current(dataset, folder):
                _build(dataset, folder, workers)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return folder


def is_current(dataset: Dataset, folder: Path) -> bool:
    """Is the store complete, and made from the source as it is now?"""
    if not (folder / "manifest.json").exists():
        return False
    try:
        store = Store.open(folder)
    except UserError:
        return False
    files = (
        case_file(folder, case.id, kind)
        for case in store.manifest.cases
        for kind in (("image", "label") if case.labeled else ("image",))
    )
    if store.manifest.stain_reference and not (folder / STAIN_REFERENCE).is_file():
        return False
    made_from = folder / SOURCE_FILE
    return (
        made_from.is_file()
        and made_from.read_text().strip() == source_fingerprint(dataset)
        and all(map(Path.is_file, files))
    )


def verify_or_mend(dataset: Dataset, store: Store, ids: Iterable[str], labels: bool = True) -> None:
    """``Store.verify``; if an array is broken, the data are prepared again, which is said.

    From the same scans the same code makes the same arrays, so no result rests on the difference.
    Raises BrokenData if the source has changed since, or if an array is broken again.
    """
    ids, made_from = list(ids), store.folder / SOURCE_FILE
    try:
        return store.verify(ids, labels)
    except BrokenData as error:
        if not made_from.is_file() or made_from.read_text().strip() != source_fingerprint(dataset):
            raise
        logger.warning("%s: preparing the data again", str(error).partition(";")[0])
    with held(store.folder.with_name(f".{store.folder.name}.lock")):
        try:
            return store.verify(ids, labels)  # another job was faster
        except BrokenData:
            _build(dataset, store.folder, workers=1)
    store.verify(ids, labels)


def source_fingerprint(dataset: DatasetBase) -> str:
    """Changes with the names, sizes and times of the source's files, and with the code used here.

    Raises UserError if the folder is not set or not there.
    """
    text = source_digest("prepare")
    if not isinstance(dataset, PhantomDataset | PhantomHistologyDataset):
        folder = source_folder(dataset)
        text += "".join(f"\n{name} {size} {time}" for name, size, time in sorted(_files(folder)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                path = Path(parent, name)
                if path.is_file():  # a broken link counts as absent
                    status = path.stat()
                    yield str(path.relative_to(folder)), status.st_size, status.st_mtime_ns


def _build(dataset: Dataset, folder: Path, workers: int) -> None:
    fingerprint = source_fingerprint(dataset)
    source = read_source(dataset)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        stain, reference = _stain_reference(dataset, source, building)
        records, channels = _prepare_cases(dataset, source, building, workers, stain)
        manifest = Manifest(
            dataset=dataset.name,
            settings=dataset.model_dump(mode="json"),
            dimensions=len(records[0].shape),
            channels=channels,
            classes=class_names(dataset, source),
            crop_used_label=dataset.crop_used_label,
            stain_reference=reference,
            cases=records,
        )
        write_text(building / SOURCE_FILE, fingerprint + "\n")
        write_json(building / "manifest.json", manifest.model_dump(mode="json"))
        _replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    for record in records:
        if record.labeled and not any(record.foreground_voxels or []):
            logger.warning("%s: case '%s' has a label without foreground", dataset.name, record.id)


def _replace(building: Path, folder: Path) -> None:
    """Put the finished folder in the place of the old one, which is removed afterwards."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(building, folder)
    shutil.rmtree(old, ignore_errors=True)


def _stain_reference(
    dataset: Dataset, source: Source, folder: Path
) -> tuple[StainNormaliser | None, StainReference | None]:
    """What brings cases to the reference's stains; the reference itself goes to the store."""
    if not isinstance(dataset, StainSettings) or dataset.stain == "none":
        return None, None
    training = {case.id: case for case in source.cases if case.split == "train"}
    name = dataset.stain_reference or next((i for i, c in training.items() if c.labeled), None)
    if name is None or name not in training:
        near = did_you_mean(name, training) if name else "; name one in dataset.stain_reference"
        raise UserError(f"{dataset.name}: stain_reference {name} is no training case{near}")
    try:
        image = training[name].load().image
        stain = StainNormaliser(dataset.stain, image)
    except UserError as error:
        raise UserError(f"case '{name}' (the stain reference): {error}") from None
    path = folder / STAIN_REFERENCE
    write_with(path, lambda file: np.save(file, image, allow_pickle=False))
    return stain, StainReference(case=name, sha256=file_sha256(path))


def _prepare_cases(
    dataset: Dataset, source: Source, folder: Path, workers: int, stain: StainNormaliser | None
) -> tuple[list[CaseRecord], int]:
    """Write all cases; returns their records in order, and the number of channels."""
    work = partial(
        _prepare_or_fault, dataset=dataset, classes=source.classes, folder=folder, stain=stain
    )
    results: list[tuple[CaseRecord, int]] = []
    faults: list[str] = []
    for result in _mapped(work, source.cases, workers):
        if isinstance(result, str):
            faults.append(result)
        else:
            results.append(result)
        if len(faults) > MAX_FAULTS:
            break
    raise_faults(faults)
    raise_faults(_odd_ones(dataset, results))
    return [record for record, _ in results], results[0][1]


def _mapped(work: Any, cases: Sequence[RawCase], workers: int) -> Iterator[Any]:
    """``map`` with a progress bar on a terminal, over processes if more than one worker."""
    from tqdm import tqdm

    bar = partial(tqdm, total=len(cases), desc="prepare", unit="case", disable=None)
    if workers <= 1 or len(cases) == 1:
        yield from bar(map(work, cases))
        return
    pool = ProcessPoolExecutor(
        min(workers, len(cases)), get_context("spawn"), initializer=_die_with_parent
    )
    try:
        yield from bar(pool.map(work, cases))
    except BrokenProcessPool:
        raise UserError(
            "a worker was killed (out of memory?); prepare with fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=follow, daemon=True).start()


def _odd_ones(dataset: Dataset, results: Iterable[tuple[CaseRecord, int]]) -> list[str]:
    """One line for each case with other dimensions or channels than most have."""
    kinds = {record.id: (len(record.shape), channels) for record, channels in results}
    usual = Counter(kinds.values()).most_common(1)[0][0]
    return [
        f"{dataset.name}: case '{case_id}' is {kind[0]}D with {kind[1]} channel(s); "
        f"most are {usual[0]}D with {usual[1]}"
        for case_id, kind in kinds.items()
        if kind != usual
    ]


# ---- one case -----------------------------------------------------------------------------------


def _prepare_or_fault(
    case: RawCase,
    dataset: Dataset,
    classes: dict[int, str] | None,
    folder: Path,
    stain: StainNormaliser | None,
) -> tuple[CaseRecord, int] | str:
    """The case's record and number of channels; or what is wrong with it, in one line."""
    try:
        return _prepare_case(case, dataset, classes, folder, stain)
    except UserError as error:
        return f"case '{case.id}': {error}"


def _prepare_case(
    case: RawCase,
    dataset: Dataset,
    classes: dict[int, str] | None,
    folder: Path,
    stain: StainNormaliser | None,
) -> tuple[CaseRecord, int]:
    scan = case.load()
    label = None if scan.label is None else to_classes(scan.label, dataset, classes)
    image, label, spacing, affine = _prepared(scan._replace(label=label), dataset, stain)
    image_file = case_file(folder, case.id, "image")
    write_with(image_file, lambda file: np.save(file, image, allow_pickle=False))
    label_hash = foreground = None
    if label is not None:
        label_file = case_file(folder, case.id, "label")
        write_with(label_file, lambda file: np.save(file, label, allow_pickle=False))
        label_hash = file_sha256(label_file)
        count = 1 if classes is None or dataset.classes == "merged" else len(classes)
        foreground = np.bincount(label.ravel(), minlength=count + 1)[1:].tolist()
    record = CaseRecord(
        id=case.id,
        split=case.split,
        labeled=label is not None,
        shape=image.shape[1:],
        spacing=spacing,
        affine=None if scan.affine is None else affine.tolist(),
        image_sha256=file_sha256(image_file),
        label_sha256=label_hash,
        foreground_voxels=foreground,
        group=case.group,
    )
    return record, len(image)


def prepare_image(
    image: NDArray[np.float32],
    spacing: Sequence[float],
    affine: NDArray[np.float64] | None,
    dataset: DatasetBase,
    stain: StainNormaliser | None = None,
) -> tuple[NDArray[np.float32], tuple[float, ...], NDArray[np.float64]]:
    """Prepare a new scan as those of ``dataset`` were: crop, resample, normalise.

    ``image`` is (C, *spatial), ``spacing`` in mm per spatial axis, ``affine`` 4x4 (None: mm from
    the first voxel), ``stain`` the store's (``stains.stain_normaliser``). Returns the prepared
    image, its spacing and its affine, which ``geometry.restore_label`` needs to bring a prediction
    back.

    Raises UserError for an image that is constant or not finite, and if the data set is cropped
    with the reference label, which a new scan does not have.
    """
    prepared, _, new_spacing, new_affine = _prepared(
        Scan(image, None, tuple(spacing), affine), dataset, stain
    )
    return prepared, new_spacing, new_affine


def _prepared(
    scan: Scan, dataset: DatasetBase, stain: StainNormaliser | None
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None, tuple[float, ...], NDArray[np.float64]]:
    check_image(scan.image)
    image, label, spacing = scan.image, scan.label, scan.spacing
    if stain is not None:
        image = stain(image)
    if dataset.clip_values is not None:
        image = np.clip(image, *dataset.clip_values)
    affine = geometry.affine_of(spacing) if scan.affine is None else scan.affine
    box = _crop_box(image, label, spacing, dataset)
    if box is not None:
        image, label = image[(slice(None), *box)], None if label is None else label[box]
        affine = geometry.shifted(affine, [side.start for side in box], [1.0] * len(box))
    target = dataset.spacing
    if target is not None and len(target) != len(spacing):
        raise UserError(f"is {len(spacing)}D, but dataset.spacing has {len(target)} numbers")
    if target is not None and not np.allclose(target, spacing, rtol=1e-3):
        grid = geometry.Grid(image.shape[1:], spacing, target)
        image = np.stack([grid.image(channel) for channel in image])
        label = None if label is None else grid.label(label, int(label.max()))
        affine, spacing = geometry.shifted(affine, grid.start.tolist(), grid.step.tolist()), target
    return normalised(image, dataset), _contiguous(label), tuple(map(float, spacing)), affine


def _contiguous(label: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    return None if label is None else np.ascontiguousarray(label)


def _crop_box(
    image: NDArray[np.float32],
    label: NDArray[np.uint8] | None,
    spacing: Sequence[float],
    dataset: DatasetBase,
) -> tuple[slice, ...] | None:
    if dataset.crop == "none":
        return None
    if dataset.crop == "label" and label is None:
        raise UserError(
            "has no label to crop with (dataset.crop: label); choose 'nonzero' or 'none'"
        )
    mask = (image != 0).any(axis=0) if label is None or dataset.crop == "nonzero" else label != 0
    return geometry.bounding_box(mask, [dataset.crop_margin_mm / size for size in spacing])


def normalised(image: NDArray[np.float32], dataset: DatasetBase) -> NDArray[np.float32]:
    """Clip and scale each channel of (C, *spatial); statistics over the whole prepared volume.

    Raises UserError if a channel is constant after clipping.
    """
    channels = []
    for index, channel in enumerate(image):
        values = channel.astype(np.float64)
        low, high = float(values.min()), float(values.max())
        if dataset.clip_percentiles is not None:
            low, high = np.percentile(values, dataset.clip_percentiles)
            values = values.clip(low, high)
        if high <= low:
            raise UserError(f"channel {index} is constant after cropping and clipping")
        if dataset.normalisation == "zscore":
            values = (values - values.mean()) / values.std()
        elif dataset.normalisation == "percentile":
            values = (values - low) / (high - low)
        elif dataset.normalisation == "window" and dataset.clip_values is not None:
            values = (values - dataset.clip_values[0]) / np.ptp(dataset.clip_values)
        channels.append(values.astype(np.float32))
    return np.stack(channels)


def check_image(image: NDArray[np.float32]) -> None:
    """Raises UserError unless (C, *spatial) of 2 or 3 spatial axes, finite, no channel constant."""
    if image.ndim not in (3, 4):
        raise UserError(f"the image has shape {image.shape}; expected 2D or 3D with channels first")
    if not np.isfinite(image).all():
        count = int(np.count_nonzero(~np.isfinite(image)))
        raise UserError(f"the image has {count} voxels that are NaN or infinite")
    for index, channel in enumerate(image):
        if channel.min() == channel.max():
            value = float(channel.flat[0])
            raise UserError(f"channel {index} of the image is constant (every voxel is {value:g})")


# ---- classes ------------------------------------------------------------------------------------


def to_classes(
    label: NDArray[Any], dataset: DatasetBase, classes: dict[int, str] | None
) -> NDArray[np.uint8]:
    """The source's label values as 0..K: 1 for all foreground, or 1..K in the order of the values.

    Raises UserError for values that are not whole, negative, or not declared.
    """
    values = np.unique(label)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise UserError(f"the label has values that are not whole numbers ({_some(values)})")
    known = None if classes is None else {0, *classes}
    unexpected = [value for value in values if value < 0 or (known and value not in known)]
    if unexpected:
        declared = f"; declared: {', '.join(map(str, sorted(known)))}" if known else ""
        raise UserError(f"the label has unexpected values ({_some(unexpected)}){declared}")
    if classes is None or dataset.classes == "merged":
        return (label > 0).astype(np.uint8)
    result = np.zeros(label.shape, dtype=np.uint8)
    for number, value in enumerate(sorted(classes), start=1):
        result[label == value] = number
    return result


def class_names(dataset: DatasetBase, source: Source) -> list[str]:
    """One name per class of the store."""
    names = [name for _, name in sorted((source.classes or {1: "foreground"}).items())]
    return names if dataset.classes == "separate" or len(names) == 1 else ["foreground"]


def _some(values: Iterable[Any]) -> str:
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown[:5] + ["..."] * (len(shown) > 5))
