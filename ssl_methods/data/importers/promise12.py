"""PROMISE12: 50 T2-weighted MR scans of the prostate, as the challenge gave them out.

Litjens et al., "Evaluation of prostate segmentation algorithms for MRI: the PROMISE12 challenge",
Medical Image Analysis 18(2), 2014. ``Case<number>.mhd`` and ``Case<number>_segmentation.mhd``, each
with its ``.raw``, at any depth; a scan without the latter is unlabeled. Voxel sizes are the
headers', which the code that made this a standard of the field (ABD) does not use.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Literal

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Source,
    check_all_used,
    load_files,
    source_folder,
)
from ssl_methods.data.importers.folder import files_of
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import published_sides, sides_of
from ssl_methods.errors import UserError

SCAN, SEGMENTATION = re.compile(r"(Case\d+)\.mhd"), re.compile(r"(Case\d+)_segmentation\.mhd")
BYCATCH = ("val.list", "test.list", "npy_image")  # ABD's lists, and what its code writes
LAYOUT = "a case is Case<number>.mhd and Case<number>_segmentation.mhd, each with its .raw"


class Promise12Dataset(DatasetBase):
    """PROMISE12 as the challenge gave it out: Case<number>.mhd, Case<number>_segmentation.mhd."""

    importer: Literal["promise12"]
    split: Literal["abd", "drawn"] = setting(
        "abd",
        "ABD's training and test cases (configs/splits/promise12_abd.yaml; its five cases for "
        "validation are left out), or drawn",
    )
    test_cases: int | float | None = setting(
        0.2, "size of the test set if split is drawn: a count, or a fraction", ge=0
    )


def read(dataset: Promise12Dataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    scans, labels = _named(files, SCAN), _named(files, SEGMENTATION)
    if not scans:
        raise UserError(f"{folder}: holds no case ({LAYOUT})")
    if dataset.split == "abd":
        sides = published_sides("promise12_abd", ids_of=lambda number: [f"Case{number:02d}"])
    else:
        sides = sides_of({str(folder): list(scans)}, {})
    faults = sides.absent(scans, lambda case: folder / f"{case}.mhd")
    if dataset.split == "abd":
        faults += sides.absent(labels, lambda case: folder / f"{case}_segmentation.mhd")
    named = {*sides.split, *sides.left_out}
    taken = {str(it): it for of in (scans, labels) for case, it in of.items() if case in named}
    of_abd = {it for it in files.files if it.name in BYCATCH or it.parent.name in BYCATCH}
    check_all_used(faults, files.unused({*files_of(taken), *of_abd}), LAYOUT)
    cases = [
        RawCase(
            case,
            side,
            case in labels,
            partial(load_files, (scans[case],), labels.get(case), header=dataset.header),
        )
        for case, side in sides.split.items()
    ]
    return Source(cases, {1: "prostate"}, sides.remarks, ignored=tuple(files.ignored))


def _named(files: Listing, pattern: re.Pattern[str]) -> dict[str, Path]:
    return {name[1]: it for it in files.files if (name := pattern.fullmatch(it.name))}
