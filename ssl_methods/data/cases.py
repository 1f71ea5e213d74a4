"""All cases of a source, prepared and written to a folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import Dataset
from ssl_methods.data.classes import label_values, surveyed, to_classes
from ssl_methods.data.geometry import axis_codes
from ssl_methods.data.importers.base import MAX_FAULTS, RawCase, Source, raise_faults
from ssl_methods.data.preprocessing import preprocessed
from ssl_methods.data.stains import StainNormaliser
from ssl_methods.data.store import CaseRecord, case_file
from ssl_methods.data.workers import Died, Workers
from ssl_methods.errors import UserError
from ssl_methods.files import file_sha256, write_with

Table = Mapping[str, Sequence[int]]  # class -> the label values that it stands for


class PreparedCase(NamedTuple):
    """A case in the store, and what it was in the source."""

    record: CaseRecord
    channels: int
    source_shape: tuple[int, ...]
    source_spacing: tuple[float, ...] | None  # mm; None if unknown
    orientation: str | None  # of the source's axes, e.g. "LPS"
    intensities: list[tuple[float, float, float]]  # per channel: 1st, 50th, 99th percentile
    label_values: list[int]


def prepare_cases(
    dataset: Dataset,
    source: Source,
    table: Table,
    folder: Path,
    workers: Workers,
    stain: StainNormaliser | None,
) -> tuple[list[PreparedCase], str | None]:
    """Write all cases; returns them in order, and the orientation that all have in the store.

    That is ``dataset.orientation``, or that of most cases (of the first, where as many have
    another): the others are prepared once more, turned. None if no scan says how its axes lie.
    """
    work = partial(_prepare_or_fault, dataset=dataset, table=table, folder=folder, stain=stain)

    def prepared(cases: Sequence[RawCase], orientation: str | None) -> dict[str, PreparedCase]:
        found: dict[str, PreparedCase] = {}
        faults: dict[str, str] = {}
        to_do = partial(work, orientation=orientation)
        for case, result in workers.map(to_do, cases, "prepare", source.may_crash):
            if isinstance(result, PreparedCase):
                found[case.id] = result
            else:
                reason = result.reason if isinstance(result, Died) else result
                faults[case.id] = f"case '{case.id}': {reason}"
            if len(faults) > MAX_FAULTS:
                break
        raise_faults(faults[case.id] for case in cases if case.id in faults)
        return found

    results = prepared(source.cases, dataset.orientation)
    raise_faults(_odd_ones(dataset, results.values()))
    known = [results[it.id].orientation for it in source.cases if results[it.id].orientation]
    target = dataset.orientation or next(iter(Counter(known).most_common(1)), (None, 0))[0]
    if dataset.orientation is None:
        turned = [it for it in source.cases if results[it.id].orientation not in (None, target)]
        results |= prepared(turned, target) if turned else {}
    return [results[case.id] for case in source.cases], target if known else None


def survey(dataset: Dataset, source: Source, workers: Workers) -> dict[int, str]:
    """Names of the label values that the source's labels hold; the labels alone are read.

    A label that cannot be read is passed over here, and named when its case is prepared.
    """
    labeled = [case for case in source.cases if case.load_label is not None]
    found: dict[str, list[int]] = {}
    for case, values in workers.map(_values_or_none, labeled, "read labels", source.may_crash):
        if isinstance(values, list):
            found[case.id] = values
    return surveyed(dataset, {case.id: found[case.id] for case in labeled if case.id in found})


def _values_or_none(case: RawCase) -> list[int] | None:
    assert case.load_label is not None
    try:
        return label_values(case.load_label())
    except UserError:
        return None


def _odd_ones(dataset: Dataset, results: Collection[PreparedCase]) -> list[str]:
    """One line for each case with other dimensions or channels than most have, or of a voxel size
    that is not known where others' are."""
    kinds = {it.record.id: (len(it.record.shape), it.channels) for it in results}
    usual = Counter(kinds.values()).most_common(1)[0][0]
    odd = [
        f"{dataset.name}: case '{case_id}' is {kind[0]}D with {kind[1]} channel(s); "
        f"most are {usual[0]}D with {usual[1]}"
        for case_id, kind in kinds.items()
        if kind != usual
    ]
    unknown = [it.record.id for it in results if it.record.spacing is None]
    if len(unknown) < len(kinds):
        odd += [
            f"{dataset.name}: the voxel size of case '{case_id}' is not known, and of others it is"
            for case_id in unknown
        ]
    return odd


def _prepare_or_fault(
    case: RawCase,
    dataset: Dataset,
    table: Table,
    folder: Path,
    stain: StainNormaliser | None,
    orientation: str | None,
) -> PreparedCase | str:
    """The prepared case; or what is wrong with it, in one line."""
    try:
        return _prepare_case(case, dataset, table, folder, stain, orientation)
    except UserError as error:
        return str(error)


def _prepare_case(
    case: RawCase,
    dataset: Dataset,
    table: Table,
    folder: Path,
    stain: StainNormaliser | None,
    orientation: str | None,
) -> PreparedCase:
    scan = case.load()
    label = None if scan.label is None else to_classes(scan.label, table)
    image, label, spacing, affine = preprocessed(
        scan._replace(label=label), dataset, stain, orientation
    )
    image_file = case_file(folder, case.id, "image")
    write_with(image_file, lambda file: np.save(file, image, allow_pickle=False))
    label_hash = foreground = None
    if label is not None:
        label_file = case_file(folder, case.id, "label")
        write_with(label_file, lambda file: np.save(file, label, allow_pickle=False))
        label_hash = file_sha256(label_file)
        foreground = np.bincount(label.ravel(), minlength=len(table) + 1)[1:].tolist()
    values = [np.sort(channel, axis=None) for channel in scan.image]
    record = CaseRecord(
        id=case.id,
        split=case.split,
        labeled=label is not None,
        shape=image.shape[1:],
        spacing=spacing,
        affine=None if scan.affine is None else affine.tolist(),
        image_sha256=file_sha256(image_file),
        voxels_sha256=_sha256(values),
        label_sha256=label_hash,
        foreground_voxels=foreground,
        group=case.group,
    )
    shape = scan.image.shape[1:]
    return PreparedCase(
        record=record,
        channels=len(image),
        source_shape=shape,
        source_spacing=None if scan.spacing is None else tuple(map(float, scan.spacing)),
        orientation=None if scan.affine is None else axis_codes(scan.affine, len(shape)),
        intensities=[_percentiles(channel) for channel in values],
        label_values=[] if scan.label is None else label_values(scan.label),
    )


def _sha256(values: Iterable[NDArray[np.float32]]) -> str:
    """Checksum of voxel values in rising order: the same whichever way the axes of a scan run."""
    digest = hashlib.sha256()
    for channel in values:
        digest.update((channel + np.float32(0)).data)  # -0 is 0
    return digest.hexdigest()


def _percentiles(values: NDArray[np.float32]) -> tuple[float, float, float]:
    """The 1st, 50th and 99th, of values in rising order."""
    low, middle, high = (float(values[round(at * (len(values) - 1))]) for at in (0.01, 0.5, 0.99))
    return low, middle, high
