"""One scan under two ids, by the checksums of the manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ssl_methods.data.store import CaseRecord


def same_scans(cases: Iterable[CaseRecord]) -> list[list[str]]:
    """Groups of ids whose scans are the same, in the order of the cases.

    The same: equal voxel values in the source, whatever its format, axes and header, or equal
    prepared images.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case in cases:
        for kind, checksum in (("voxels", case.voxels_sha256), ("image", case.image_sha256)):
            if checksum:
                groups[kind, checksum].append(case.id)
    return _unique(groups.values())


def same_labels(cases: Sequence[CaseRecord]) -> list[list[str]]:
    """Groups of ids with equal prepared labels that hold foreground, their scans being others."""
    groups: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        if case.label_sha256 and any(case.foreground_voxels or []):
            groups[case.label_sha256].append(case.id)
    explained = [set(ids) for ids in same_scans(cases)]
    return [
        ids for ids in _unique(groups.values()) if not any(set(ids) <= same for same in explained)
    ]


def _unique(groups: Iterable[list[str]]) -> list[list[str]]:
    return [list(ids) for ids in dict.fromkeys(tuple(ids) for ids in groups if len(ids) > 1)]
