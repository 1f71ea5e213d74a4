"""The 2018 Atrial Segmentation Challenge as it was given out, and the field's preparation of it.

``<id>/lgemri.nrrd`` and ``<id>/laendo.nrrd`` (255 is the left atrium); a scan without the latter is
unlabeled. ``train.list`` and ``test.list``, if they are there, name the cases (80 and 20 in UA-MT,
DTC and their peers); otherwise all are taken.

UA-MT's script, whose files DTC and its peers share: z-score of the whole scan, then a crop in x and
y around the reference label, with margins of 10 to 19 voxels drawn for each side, wider if the
patch of 112 needs it; it computes bounds in z and does not apply them. It draws without a seed;
here the margins depend on ``margin_seed`` and the case's id.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data.importers.base import (
    RawCase,
    Scan,
    Source,
    check_all_used,
    load_files,
    raise_faults,
    source_folder,
)
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import read_id_list
from ssl_methods.data.volumes import Choice
from ssl_methods.errors import UserError

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"
VALUE = 255  # of the left atrium in a label
LAYOUT = f"a case is <id>/{IMAGE} and <id>/{LABEL}, its id in a list if there is train.list"
PATCH = 112  # of UA-MT, in x and y
MARGINS = (10, 20)  # voxels, the upper bound excluded


class LeftAtriumChallengeDataset(DatasetBase):
    """<id>/lgemri.nrrd and laendo.nrrd, as the 2018 Atrial Segmentation Challenge gave them out."""

    importer: Literal["left_atrium_challenge"]
    field_crop: bool = setting(
        True,
        "whether x and y are cropped around the reference label with random margins, as the "
        "field's files were",
        source="UA-MT code",
    )
    margin_seed: int = setting(
        0, "seed of the margins of field_crop; the authors' was not fixed", ge=0
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "none",
        "how intensities are scaled after the crop; the importer already scales the whole scan as "
        "zscore does",
    )
    test_cases: int | float | None = setting(
        0.2, "size of the test set, drawn from the labeled cases if there is no test.list", ge=0
    )

    @property
    def crop_used_label(self) -> bool:
        return self.field_crop or super().crop_used_label


def read(dataset: LeftAtriumChallengeDataset) -> Source:
    folder = source_folder(dataset)
    files = Listing(folder, dataset.ignore)
    splits = _listed(folder) or {
        path.parent.name: "train"
        for path in files.files
        if path.name == IMAGE and path.parent.parent == folder
    }
    used = {folder / "train.list", folder / "test.list"}
    used |= {folder / case_id / name for case_id in splits for name in (IMAGE, LABEL)}
    faults = [
        f"{folder}: case '{case_id}' has no file {folder / case_id / IMAGE}"
        for case_id in splits
        if not (folder / case_id / IMAGE).is_file()
    ]
    check_all_used(faults, files.unused(used), LAYOUT)
    cases = []
    for case_id, split in splits.items():
        labeled = (folder / case_id / LABEL).is_file()
        seed = dataset.margin_seed if dataset.field_crop else None
        cases.append(
            RawCase(case_id, split, labeled, partial(load, folder / case_id, seed, dataset.header))
        )
    return Source(cases, {VALUE: "left atrium"}, ignored=tuple(files.ignored))


def _listed(folder: Path) -> dict[str, Literal["train", "test"]]:
    """Id -> split of train.list and test.list; empty if there is neither.

    Raises UserError for an id that is listed twice, or a test.list alone.
    """
    lists = {part: folder / f"{part}.list" for part in ("train", "test")}
    if not any(path.exists() for path in lists.values()):
        return {}
    if not lists["train"].exists():
        raise UserError(f"{lists['train']}: is missing, and there is a test.list")
    train = read_id_list(lists["train"])
    test = read_id_list(lists["test"]) if lists["test"].exists() else []
    raise_faults(
        f"{folder}: case '{case_id}' is listed more than once in train.list and test.list"
        for case_id, count in Counter(train + test).items()
        if count > 1
    )
    splits: dict[str, Literal["train", "test"]] = dict.fromkeys(train, "train")
    return splits | dict.fromkeys(test, "test")


def load(folder: Path, margin_seed: int | None, header: Choice = "agree") -> Scan:
    """One scan, scaled; cropped as the field's files if there is a seed for its margins.

    Raises UserError for a broken file, or a scan that has no label to crop with.
    """
    label_file = folder / LABEL
    scan = load_files(
        (folder / IMAGE,), label_file if label_file.is_file() else None, header=header
    )
    image = ((scan.image - scan.image.mean()) / scan.image.std()).astype(np.float32)
    label = scan.label
    if margin_seed is None:
        return scan._replace(image=image, label=label)
    if label is None or not label.any():
        raise UserError(
            f"{folder}: has no label to crop with; set dataset.field_crop: false, or leave it out"
        )
    box = field_box(label, default_rng(SeedSequence([margin_seed, *folder.name.encode()])))
    affine = scan.affine
    if affine is not None:
        affine = affine.copy()
        affine[:3, 3] += affine[:3, :2] @ [side.start for side in box]
    return Scan(image[(slice(None), *box)], label[box], scan.spacing, affine)


def field_box(label: NDArray[Any], rng: Generator) -> tuple[slice, slice]:
    """The crop in x and y of one scan (UA-MT code; an upper end is that of the last voxel)."""
    sides = []
    for axis, others in ((0, (1, 2)), (1, (0, 2))):
        inside = np.flatnonzero(label.any(axis=others))
        first, last = int(inside[0]), int(inside[-1])
        more = max(PATCH - (last - first), 0) // 2
        before, after = (int(margin) + more for margin in rng.integers(*MARGINS, size=2))
        sides.append(slice(max(first - before, 0), min(last + after, label.shape[axis])))
    return sides[0], sides[1]
