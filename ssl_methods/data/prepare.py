"""From source scans to the prepared store.

``prepare`` does nothing if the store is there and its source unchanged. The new store is built in a
folder beside the old one and takes its place when complete, so a failure loses nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ssl_methods.config import Dataset, DatasetBase, StainSettings, did_you_mean
from ssl_methods.data.cases import prepare_cases, survey
from ssl_methods.data.classes import class_table
from ssl_methods.data.duplicates import same_scans
from ssl_methods.data.importers.base import Source, source_folder
from ssl_methods.data.importers.registry import module_of, read_source
from ssl_methods.data.listing import Listing
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
from ssl_methods.data.summary import TABLE, summary
from ssl_methods.data.workers import Workers
from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, write_json, write_text, write_with
from ssl_methods.locks import held, take
from ssl_methods.provenance import source_digest

logger = logging.getLogger(__name__)

# Beside the manifest, not in it: scans that were merely copied have new times, and retrain nothing.
SOURCE_FILE = "source.txt"


def prepare(dataset: Dataset, results: Path, workers: int = 1) -> Path:
    """Make the prepared store of a data set and return its folder.

    ``workers`` processes share the cases; memory grows with the workers, not with the data set.
    Raises UserError before anything is replaced, with one line per faulty case.
    """
    folder = store_folder(dataset, results)
    _clear_away(folder.parent)
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


def _clear_away(prepared: Path) -> None:
    """Remove what a preparation left that was killed, of any data set; an old store whose new one
    is not there goes back to its place."""
    for left in [*prepared.glob(".*.building"), *prepared.glob(".*.old")]:
        folder = prepared / left.stem.removeprefix(".")
        try:
            lock = take(folder.with_name(f".{folder.name}.lock"))
        except UserError:  # another user's, or read-only: it does no harm
            continue
        if lock is None:  # a living process prepares it
            continue
        with lock:
            if left.suffix == ".old" and not folder.exists():
                os.rename(left, folder)
            else:
                shutil.rmtree(left, ignore_errors=True)


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
        and made_from.read_text(encoding="utf-8").strip() == source_fingerprint(dataset)
        and all(map(Path.is_file, files))
    )


def say_if_outdated(dataset: Dataset, folder: Path) -> None:
    """Warn if the source has changed since the store was made.

    A store that is there is never replaced under a running experiment. One whose source is not
    here is taken as it is: it was brought from elsewhere.
    """
    try:
        current = is_current(dataset, folder)
    except UserError:
        return
    if not current:
        logger.warning("%s: its source has changed since; run 'prepare' to take that up", folder)


def made_from(folder: Path) -> str | None:
    """The fingerprint of the source that a store was made from; None if it does not say."""
    path = folder / SOURCE_FILE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def verify_or_mend(dataset: Dataset, store: Store, ids: Iterable[str], labels: bool = True) -> None:
    """``Store.verify``; if an array is broken, the data are prepared again, which is said.

    From the same scans the same code makes the same arrays, so no result rests on the difference.
    Raises BrokenData if the source has changed since, or if an array is broken again.
    """
    ids, made_from = list(ids), store.folder / SOURCE_FILE
    try:
        return store.verify(ids, labels)
    except BrokenData as error:
        if not made_from.is_file() or made_from.read_text(
            encoding="utf-8"
        ).strip() != source_fingerprint(dataset):
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
    text = source_digest("prepare", module_of(dataset))
    if not dataset.generated:
        text += "".join(f"\n{name} {size} {time}" for name, size, time in _files(dataset))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files(dataset: DatasetBase) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of each file that is part of the data set; of a broken link -1."""
    folder = source_folder(dataset)
    for path in Listing(folder, dataset.ignore).files:
        name = path.relative_to(folder).as_posix()
        try:
            status = path.stat()
            yield name, status.st_size, status.st_mtime_ns
        except OSError:
            yield name, -1, -1


def _build(dataset: Dataset, folder: Path, workers: int) -> None:
    fingerprint = source_fingerprint(dataset)
    source = read_source(dataset)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        with Workers(min(workers, len(source.cases))) as processes:
            names = source.classes or survey(dataset, source, processes)
            table = class_table(dataset, names)
            stain, reference = _stain_reference(dataset, source, building)
            cases, orientation = prepare_cases(dataset, source, table, building, processes, stain)
        records = [case.record for case in cases]
        manifest = Manifest(
            dataset=dataset.name,
            settings=dataset.model_dump(mode="json"),
            dimensions=len(records[0].shape),
            channels=cases[0].channels,
            classes=list(table),
            label_values=list(table.values()),
            orientation=orientation,
            crop_used_label=dataset.crop_used_label,
            stain_reference=reference,
            cases=records,
        )
        text = summary(dataset, source, table, cases, orientation)
        write_text(building / TABLE, text)
        write_text(building / SOURCE_FILE, fingerprint + "\n")
        write_json(building / "manifest.json", manifest.model_dump(mode="json"))
        _replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _warn(dataset, table, records)


def _warn(dataset: Dataset, table: Mapping[str, Sequence[int]], records: list[CaseRecord]) -> None:
    """Say what is allowed and often a mistake."""
    name = dataset.name
    values = sorted(value for of_class in table.values() for value in of_class)
    if dataset.classes == "merged" and len(values) > 1:
        listed = ", ".join(map(str, values))
        logger.info("%s: label values %s are merged into one class (classes: merged)", name, listed)
    for record in records:
        if record.labeled and not any(record.foreground_voxels or []):
            logger.warning("%s: case '%s' has a label without foreground", name, record.id)
    split = {record.id: record.split for record in records}
    for ids in same_scans(records):
        listed = ", ".join(f"'{case_id}' ({split[case_id]})" for case_id in ids)
        refused = len({split[case_id] for case_id in ids}) > 1 and not dataset.repeated_scans
        end = "; no split can be made of them: take away one" if refused else ""
        logger.warning("%s: cases %s are the same scan%s", name, listed, end)


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
