"""All cases of a source, prepared and written to a folder, by several processes."""

from __future__ import annotations

import os
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

from ssl_methods.config import Dataset
from ssl_methods.data.classes import to_classes
from ssl_methods.data.importers import MAX_FAULTS, RawCase, Source, raise_faults
from ssl_methods.data.preprocessing import preprocessed
from ssl_methods.data.stains import StainNormaliser
from ssl_methods.data.store import CaseRecord, case_file
from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, write_with


def prepare_cases(
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
    image, label, spacing, affine = preprocessed(scan._replace(label=label), dataset, stain)
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
