"""What ``prepare`` understood of a data set: a table, and a picture of its cases.

The table is ``summary.md`` in the store, written with it; the picture ``summary.png``, drawn when
it is first shown.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ssl_methods.config import DatasetBase
from ssl_methods.config.datasets import AXES
from ssl_methods.data.cases import PreparedCase
from ssl_methods.data.duplicates import same_labels, same_scans
from ssl_methods.data.importers.base import Source
from ssl_methods.data.outliers import outliers
from ssl_methods.data.store import Store
from ssl_methods.files import read_text

TABLE, PICTURE = "summary.md", "summary.png"
WIDTH = 100  # columns of the table
MOST = 5  # ids or kinds that are named one by one
OBLIQUE = 1.0  # degrees that an axis lies beside one of the body
BY, JOINED = " x ", "\u00a0x\u00a0"  # as it is printed, and as it is kept on one line


def summary(
    dataset: DatasetBase,
    source: Source,
    table: Mapping[str, Sequence[int]],
    cases: Sequence[PreparedCase],
    orientation: str | None,
) -> str:
    """A Markdown table of at most 100 columns, that is read in a terminal too."""
    rows = [
        ("cases", _counts(cases)),
        ("test set", _test_set(dataset, source)),
        ("label values", _values(dataset, source, table, cases)),
        *_volumes(table, cases),
        ("spacing", _spacings(dataset, cases, orientation)),
        ("axes", _axes(cases, orientation)),
        ("shape", _shapes(cases, orientation)),
        *_intensities(cases),
        *(("note", remark) for remark in source.remarks),
        *(("ignored", line) for line in _ignored(dataset, source)),
        *(("look at", line) for line in _to_look_at(dataset, table, cases)),
    ]
    return f"# {dataset.name}\n\n" + _markdown(rows)


def shown(store: Store, patch: Sequence[int] | None = None) -> str:
    """The table of a store, and with a patch how many cases are smaller; the picture is drawn."""
    from ssl_methods.data.contact_sheet import write_contact_sheet

    path = store.folder / TABLE
    text = read_text(path).rstrip() if path.is_file() else f"# {store.manifest.dataset}"
    picture = store.folder / PICTURE
    if not picture.is_file():
        write_contact_sheet(store, picture)
    lines = [text, ""]
    if patch is not None:
        smaller = [
            case.id
            for case in store.manifest.cases
            if any(size < side for size, side in zip(case.shape, patch, strict=False))
        ]
        which = f" and are padded: {_named(smaller)}" if smaller else ""
        size = _by(patch)
        lines.append(
            f"{len(smaller)} of {len(store.cases)} cases are smaller than the patch ({size}){which}"
        )
    return "\n".join([*lines, f"picture: {picture}"])


def _counts(cases: Sequence[PreparedCase]) -> str:
    records = [case.record for case in cases]
    training = [it for it in records if it.split == "train"]
    labeled = sum(it.labeled for it in training)
    groups = len({it.group for it in records} - {None})
    channels = cases[0].channels
    return (
        f"{len(records)}: {len(training)} for training ({labeled} labeled, "
        f"{len(training) - labeled} unlabeled), {len(records) - len(training)} for testing; "
        f"{len(records[0].shape)}D, {channels} channel{'s' * (channels > 1)}"
        + (f"; in {groups} groups" if groups else "")
    )


def _test_set(dataset: DatasetBase, source: Source) -> str:
    if not source.test_drawn:
        return "declared by the source"
    return (
        f"drawn from the labeled cases (test_cases: {dataset.test_cases}, "
        f"split_seed: {dataset.split_seed})"
    )


def _values(
    dataset: DatasetBase,
    source: Source,
    table: Mapping[str, Sequence[int]],
    cases: Sequence[PreparedCase],
) -> str:
    found = sorted({value for case in cases for value in case.label_values})
    declared = sorted({value for values in table.values() for value in values})
    absent = [value for value in declared if value not in found]
    classes = "; ".join(
        f"{', '.join(map(str, values))} is class '{name}'" for name, values in table.items()
    )
    if dataset.classes == "merged" and len(declared) > 1:
        classes = f"{', '.join(map(str, declared))} are merged into one class (classes: merged)"
    named = "declared" if source.classes else "found in the labels"
    missing = f"; in no label: {', '.join(map(str, absent))}" if absent and source.classes else ""
    return f"{classes} ({named}){missing}"


def _volumes(
    table: Mapping[str, Sequence[int]], cases: Sequence[PreparedCase]
) -> list[tuple[str, str]]:
    """One row per class: median, least and most over the labels that have it."""
    labels = [case.record for case in cases if case.record.foreground_voxels is not None]
    flat = len(cases[0].record.shape) == 2
    unit, scale = ("mm2", 1.0) if flat else ("ml", 1000.0)
    if cases[0].record.spacing is None:
        unit, scale = "voxels", 1.0
    rows = []
    for number, name in enumerate(table):
        sizes = [
            it.foreground_voxels[number] * float(np.prod(it.spacing or 1)) / scale
            for it in labels
            if it.foreground_voxels and it.foreground_voxels[number]
        ]
        what = f"'{name}' in {len(sizes)} of {len(labels)} labels"
        if sizes:
            what += f": {_range(sizes, unit)}"
        rows.append(("area" if flat else "volume", what))
    return rows


def _spacings(dataset: DatasetBase, cases: Sequence[PreparedCase], orientation: str | None) -> str:
    sizes = [it.source_spacing for it in cases if it.source_spacing is not None]
    if not sizes:
        return "the source does not say; distances are measured in voxels alone"
    found = _kinds(
        _by(_turned(size, case, orientation)) for size, case in zip(sizes, cases, strict=True)
    )
    return f"{found} mm" + (
        f"; resampled to {_by(dataset.spacing)} mm" if dataset.spacing is not None else ""
    )


def _axes(cases: Sequence[PreparedCase], orientation: str | None) -> str:
    if orientation is None:
        return "the source does not say how they lie"
    found = _kinds(case.orientation or "unknown" for case in cases)
    turned = [it.record.id for it in cases if it.orientation not in (None, orientation)]
    angles = {it.record.id: _oblique(it) for it in cases}
    oblique = [case_id for case_id, angle in angles.items() if angle > OBLIQUE]
    return (
        found
        + (f"; turned to {orientation}: {_named(turned)}" if turned else "")
        + (
            f"; oblique, by {_up_to([angles[it] for it in oblique])} degrees, and left so: "
            f"{_named(oblique)}"
            if oblique
            else ""
        )
    )


def _oblique(case: PreparedCase) -> float:
    """Degrees between an axis of the grid and the nearest one of the body, where that is most."""
    if case.record.affine is None:
        return 0.0
    columns = np.asarray(case.record.affine)[:3, : len(case.record.shape)]
    nearest = np.abs(columns).max(axis=0) / np.linalg.norm(columns, axis=0)
    return float(np.degrees(np.arccos(nearest.clip(0, 1))).max())


def _up_to(values: Sequence[float]) -> str:
    least, most = f"{min(values):.2g}", f"{max(values):.2g}"
    return most if least == most else f"{least} to {most}"


def _turned(
    sizes: Sequence[float], case: PreparedCase, orientation: str | None
) -> tuple[float, ...]:
    """What a scan has along each axis, in the order of the axes as prepared."""
    if orientation is None or case.orientation is None:
        return tuple(sizes)
    own, wanted = (
        [next(axis for axis in AXES if letter in axis) for letter in codes]
        for codes in (case.orientation, orientation)
    )
    return tuple(sizes[own.index(axis)] for axis in wanted)


def _shapes(cases: Sequence[PreparedCase], orientation: str | None) -> str:
    before = [_turned(case.source_shape, case, orientation) for case in cases]
    after = [tuple(case.record.shape) for case in cases]
    return f"{_extent(before)}" + (f"; prepared {_extent(after)}" if after != before else "")


def _extent(shapes: Sequence[Sequence[float]]) -> str:
    least, most = np.min(shapes, axis=0), np.max(shapes, axis=0)
    if (least == most).all():
        return _by(least)
    return f"{_by(least)} to {_by(most)} (median {_by(np.median(shapes, axis=0))})"


def _intensities(cases: Sequence[PreparedCase]) -> list[tuple[str, str]]:
    """Intensities of the source: the usual range, and how far single scans go."""
    rows = []
    for channel in range(cases[0].channels):
        low, middle, high = np.transpose([case.intensities[channel] for case in cases])
        name = f"channel {channel}: " if cases[0].channels > 1 else ""
        rows.append(
            (
                "intensities",
                f"{name}1st percentile {_range(low)}; median {_range(middle)}; 99th {_range(high)}",
            )
        )
    return rows


def _ignored(dataset: DatasetBase, source: Source) -> list[str]:
    if not source.ignored:
        return []
    folder = dataset.path.expanduser() if dataset.path else Path()
    names = [
        path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
        for path in source.ignored
    ]
    return [f"{len(names)} file{'s' * (len(names) > 1)} (dataset.ignore): {_named(names)}"]


def _to_look_at(
    dataset: DatasetBase, table: Mapping[str, Sequence[int]], cases: Sequence[PreparedCase]
) -> list[str]:
    records = [case.record for case in cases]
    split = {record.id: record.split for record in records}
    empty = [it.id for it in records if it.labeled and not any(it.foreground_voxels or [])]
    lines = [f"labels without foreground: {_named(empty)}"] if empty else []
    for ids in same_scans(records):
        both = len({split[it] for it in ids}) > 1
        lines.append(
            f"the same scan: {_named(ids)}" + (" (for training and for testing)" if both else "")
        )
    lines += [f"equal labels of other scans: {_named(ids)}" for ids in same_labels(records)]
    found = outliers(cases, list(table))
    more = len(found) - 2 * MOST
    return lines + found[: 2 * MOST] + ([f"... and {more} more cases"] if more > 0 else [])


def _kinds(texts: Iterable[str]) -> str:
    """Each text with how many have it, the most common first; one alone without a number."""
    counts = Counter(texts).most_common()
    if len(counts) == 1:
        return counts[0][0]
    shown = [f"{text} ({count})" for text, count in counts[:MOST]]
    more = sum(count for _, count in counts[MOST:])
    return ", ".join(shown) + (f", others ({more})" if more else "")


def _range(values: Iterable[float], unit: str = "") -> str:
    """The median, and in brackets least and most."""
    numbers = np.asarray(list(values), dtype=np.float64)
    middle = f"{np.median(numbers):.4g} {unit}".rstrip()
    least, most = f"{numbers.min():.4g}", f"{numbers.max():.4g}"
    return middle if least == most else f"{middle} ({least} to {most})"


def _by(sizes: Iterable[float]) -> str:
    return BY.join(f"{float(size):.4g}" for size in sizes)


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - MOST
    return ", ".join(ids[:MOST]) + (f" and {more} more" if more > 0 else "")


def _markdown(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns; what is longer goes on in the next row."""
    left = max(len(what) for what, _ in rows)
    right = WIDTH - left - 7
    lines = [
        f"| {'what':{left}} | {'found':{right}} |",
        f"|{'-' * (left + 2)}|{'-' * (right + 2)}|",
    ]
    last = ""
    for what, found in rows:
        shown = "" if what == last else what
        last = what
        whole = found.replace("|", "/").replace(BY, JOINED)
        for part in textwrap.wrap(whole, right, break_on_hyphens=False) or [""]:
            lines.append(f"| {shown:{left}} | {part.replace(JOINED, BY):{right}} |")
            shown = ""
    return "\n".join(lines) + "\n"
