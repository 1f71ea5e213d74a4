"""A released model's score beside the published values of its method: what `score` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ssl_methods.analysis.published import (
    DAGGER,
    QUOTED_NOTE,
    PublishedRow,
    of_dataset,
    of_method,
    resampled,
)
from ssl_methods.analysis.shown import number
from ssl_methods.config import Experiment
from ssl_methods.measures import OF_PAPERS, of


class Scored(Protocol):
    """What was measured (evaluation/score.py): overlaps in 0..1, distances in voxels."""

    @property
    def cases(self) -> int: ...
    @property
    def values(self) -> Mapping[str, float]: ...
    @property
    def largest_component(self) -> Mapping[str, float]: ...
    @property
    def table(self) -> Path: ...


def published_of(experiment: Experiment, method: str) -> list[PublishedRow]:
    """What others print of a row's method, in its variant, on the experiment's scans."""
    return [row for row in of_dataset(experiment) if method in of_method(row, experiment)]


def as_json(file: Path, scored: Scored, experiment: Experiment, method: str) -> str:
    """Overlaps in 0..1, distances in voxels, ours and published."""
    published = [
        {name: None if getattr(row, name) is None else row.value(name) for name in OF_PAPERS}
        | {"title": row.title, "labeled": row.labeled, "unlabeled": row.unlabeled}
        | {"citation": row.source.citation, "place": row.source.place, "mark": row.source.mark}
        | row.source.protocol.model_dump(mode="json")
        | {"jensen_ok": row.jensen_ok, "differs": resampled(row, experiment)}
        for row in published_of(experiment, method)
    ]
    stride = experiment.evaluation.stride
    document: dict[str, Any] = {
        "file": str(file), "experiment": experiment.name, "method": method,
        "dataset": experiment.dataset.name, "cases": scored.cases, "stride": stride,
        "values": dict(scored.values), "largest_component": dict(scored.largest_component),
        "published": published, "cases_csv": str(scored.table),
    }  # fmt: skip
    return json.dumps(document, indent=1, allow_nan=False)


def as_text(file: Path, scored: Scored, experiment: Experiment, method: str) -> str:
    """A table of ours and of the published rows, and where each case's values are."""
    published = published_of(experiment, method)
    lines = [["", *(of(name).heading for name in OF_PAPERS)]]
    lines += [
        [title, *(f"{values[name] * of(name).scale:.2f}" for name in OF_PAPERS)]
        for title, values in [
            ("this file", scored.values),
            ("this file, largest component", scored.largest_component),
        ]
    ]
    lines += [
        [said_of(row, experiment), *(number(getattr(row, name), 2) for name in OF_PAPERS)]
        for row in published
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    stride = experiment.evaluation.stride
    windows = f"every {' x '.join(map(str, stride))} voxels" if stride else "half a patch apart"
    head = f"{file} as {method}: {scored.cases} test cases of {experiment.dataset.name}"
    quoted = any(row.source.mark == "quoted" for row in published)
    notes = [QUOTED_NOTE.strip()] if quoted else []
    if not published:
        notes = [f"No published values of '{method}' are kept for {experiment.dataset.name}."]
    return "\n".join([f"{head}, windows {windows}", *table, *notes, str(scored.table)])


def said_of(row: PublishedRow, experiment: Experiment) -> str:
    """Where a published row stands, and how it was made."""
    mark, protocol = DAGGER if row.source.mark == "quoted" else "", row.source.protocol
    how = [
        f"checkpoint {protocol.checkpoint.replace('_', ' ')}",
        f"post-processing {protocol.post_processing.replace('_', ' ')}",
        *(f"ours {reason}" for reason in resampled(row, experiment)),
        *(["fails the Jensen check"] if row.jensen_ok is False else []),
    ]
    source = f"{row.source.citation}, {row.source.place}"
    return f"{row.labeled} labeled{mark}: {source} ({', '.join(how)})"
