"""Medical Segmentation Decathlon, and the raw layouts of nnU-Net: dataset.json and image files.

Decathlon: ``training`` lists images and labels, ``test`` lists images without labels, which become
unlabeled training cases; channels are the last axis of a 4D file.
nnU-Net v1: the same lists, but of an image ``<id>.nii.gz`` the files are ``<id>_0000.nii.gz``,
``<id>_0001.nii.gz``, ..., one for each entry of ``modality``.
nnU-Net v2: ``imagesTr/<id>_0000.nii.gz`` (one file per channel) and ``labelsTr/<id>.nii.gz``, or
``dataset`` lists the files of each case; images of ``imagesTs`` are unlabeled training cases, or
the test set if there is a ``labelsTs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ssl_methods.config import DatasetBase, setting
from ssl_methods.data import pictures
from ssl_methods.data.classes import LARGEST_VALUE
from ssl_methods.data.importers.base import (
    RawCase,
    Source,
    check_all_used,
    load_files,
    raise_faults,
    source_folder,
)
from ssl_methods.data.importers.folder import files_of, volumes
from ssl_methods.data.listing import Listing
from ssl_methods.data.volumes import SUFFIXES, Choice, stays_below, volume_id
from ssl_methods.errors import UserError, printable
from ssl_methods.files import read_json

LAYOUT = "dataset.json does not list it, and it is no image of imagesTr, labelsTr or imagesTs"
SPLITS = "splits_final.json"
Side = Literal["train", "test"]


class Found:
    """What has been found so far: cases, the files they use, and faults."""

    def __init__(self, path: Path, files: Listing, header: Choice) -> None:
        self.header = header
        self.path, self.folder, self.files = path, path.parent, files
        self.used: set[Path] = {path, path.parent / SPLITS}
        self.faults: list[str] = []
        self.cases: list[RawCase] = []

    def add(self, case_id: str, side: Side, images: Sequence[Path], label: Path | None) -> None:
        for kind, file in (*(("image", image) for image in images), ("label", label)):
            if file is not None and not file.is_file():
                self.faults.append(f"{self.path}: the {kind} {file} is listed but missing")
        self.use([*images, label] if label else images)
        load = partial(load_files, tuple(images), label, header=self.header)
        self.cases.append(RawCase(case_id, side, label is not None, load))

    def use(self, files: Iterable[Path]) -> None:
        self.used |= set(files_of({str(file): file for file in files}))

    def listed(self, name: Any) -> Path:
        """A file that dataset.json names. Raises UserError unless it is below the folder."""
        if not isinstance(name, str):
            raise UserError(f"{self.path}: {name!r}: expected the path of a file")
        if not stays_below(name):
            raise UserError(f"{self.path}: {name}: is not within {self.folder}")
        file = self.folder / name
        try:
            file.exists()
        except (OSError, ValueError) as error:  # too long, or with a NUL
            why = getattr(error, "strerror", None) or "cannot be the name of a file"
            raise UserError(f"{self.path}: {printable(name, 100)}: {why}") from None
        return file


class DecathlonDataset(DatasetBase):
    """Medical Segmentation Decathlon or nnU-Net layout: dataset.json and image files."""

    importer: Literal["decathlon"]
    fold: int | None = setting(
        None,
        "the test set is the 'val' part of this fold of splits_final.json (nnU-Net); none: that "
        "file is not used",
        ge=0,
    )
    test_cases: int | float | None = setting(
        0.2, "size of the test set, drawn from the labeled cases: a count, or a fraction", ge=0
    )


def read(dataset: DecathlonDataset) -> Source:
    folder = source_folder(dataset)
    path = folder / "dataset.json"
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise UserError(f"{path}: has no 'labels' (label value and class name)")
    classes = _classes(path, description["labels"])
    found = Found(path, Listing(folder, dataset.ignore), dataset.header)
    if isinstance(description.get("dataset"), dict):
        _nnunet_lists(found, description["dataset"])
        _nnunet_part(found, description, "Ts")
    elif isinstance(description.get("training"), list):
        _decathlon_lists(found, description)
    elif "channel_names" in description:
        _nnunet_part(found, description, "Tr")
        _nnunet_part(found, description, "Ts")
    else:
        raise UserError(
            f"{path}: has neither 'training' (Decathlon, nnU-Net v1) nor 'channel_names' "
            "(nnU-Net v2)"
        )
    check_all_used(found.faults, found.files.unused(found.used), LAYOUT)
    cases, remarks = _with_fold(dataset, found)
    return Source(cases, classes, remarks, ignored=tuple(found.files.ignored))


def _classes(path: Path, labels: dict[str, Any]) -> dict[int, str]:
    """Label value -> name. Decathlon writes {"1": "name"}, nnU-Net {"name": 1}; 0 is background.

    A region, {"name": [1, 2]}, is one class of several values if no other has them.
    """
    classes: dict[int, str] = {}
    for key, value in labels.items():
        name, values = (key, value) if isinstance(value, int | list) else (value, [key])
        if name == "ignore":
            raise UserError(
                f"{path}: labels: an 'ignore' label is not supported, for its voxels would count "
                "in losses and metrics; give them a class, or take the labels of such cases away"
            )
        for one in values if isinstance(values, list) else [values]:
            try:
                number = int(one)
            except (TypeError, ValueError):
                raise UserError(
                    f"{path}: labels: '{key}': one whole number per class is needed "
                    f"(given: {value!r})"
                ) from None
            if number in classes and isinstance(value, list):
                raise UserError(
                    f"{path}: labels: '{classes[number]}' and '{name}' are overlapping regions "
                    f"(both hold {number}), and classes exclude each other here; name each value "
                    f'once, as "{name}": {number}, and leave regions_class_order out'
                )
            if number in classes or not 0 <= number <= LARGEST_VALUE:
                raise UserError(
                    f"{path}: labels: {number} is used twice, or is not within 0..{LARGEST_VALUE}"
                )
            classes[number] = str(name)
    classes.pop(0, None)
    if not classes:
        raise UserError(f"{path}: labels: names no foreground class")
    return dict(sorted(classes.items()))


def _decathlon_lists(found: Found, description: dict[str, Any]) -> None:
    channels = len(description.get("modality") or [0])
    for entry in [*description["training"], *description.get("test", [])]:
        listed = entry if isinstance(entry, dict) else {"image": entry}
        image, label = listed.get("image"), listed.get("label")
        if not isinstance(image, str) or not isinstance(label, str | None):
            raise UserError(
                f"{found.path}: {entry!r}: expected the path of an image, and of a label or none"
            )
        file = found.listed(image)
        case_id = volume_id(file)
        if case_id is None:
            found.faults.append(f"{found.path}: {image} is not one of {', '.join(SUFFIXES)}")
            continue
        images = [file]
        if not file.is_file():
            suffix = file.name[len(case_id) :]
            numbered = [file.with_name(f"{case_id}_{it:04d}{suffix}") for it in range(channels)]
            images = numbered if numbered[0].is_file() else images
        found.add(case_id, "train", images, found.listed(label) if label else None)
    for file in volumes(found.files, "labelsTr", found.faults).values():
        if file not in found.used:
            found.faults.append(f"{file}: a label without an image in dataset.json")
            found.use([file])


def _nnunet_lists(found: Found, listed: dict[str, Any]) -> None:
    """The key ``dataset`` of nnU-Net v2: {"<id>": {"images": [...], "label": ...}}."""
    for case_id, entry in listed.items():
        images = entry.get("images") if isinstance(entry, dict) else None
        if not isinstance(images, list) or not images:
            raise UserError(
                f"{found.path}: dataset: '{case_id}': expected images (a list) and a label"
            )
        label = entry.get("label")
        found.add(
            case_id,
            "train",
            [found.listed(image) for image in images],
            found.listed(label) if label else None,
        )


def _nnunet_part(found: Found, description: dict[str, Any], part: str) -> None:
    """The cases of ``imagesTr`` or ``imagesTs`` by the names of their files."""
    ending = str(description.get("file_ending", ".nii.gz"))
    if ending.lower() not in SUFFIXES + pictures.SUFFIXES:
        known = ", ".join(SUFFIXES + pictures.SUFFIXES)
        raise UserError(f"{found.path}: file_ending '{ending}' is not one of {known}")
    images, label_folder = found.folder / f"images{part}", found.folder / f"labels{part}"
    if not images.is_dir():
        if part == "Tr":
            raise UserError(f"{images}: no such folder")
        return
    labels = volumes(found.files, label_folder.name, found.faults)
    side: Side = "test" if part == "Ts" and labels else "train"
    groups: dict[str, dict[str, Path]] = {}
    for name, file in volumes(found.files, images.name, found.faults).items():
        found.use([file])
        case_id, _, channel = name.rpartition("_")
        if not file.name.lower().endswith(ending.lower()):
            found.faults.append(f"{file}: the file_ending of dataset.json is {ending}")
        elif not case_id or not channel.isdigit():
            found.faults.append(f"{file}: the name must end in the channel's number, as CASE_0000")
        else:
            groups.setdefault(case_id, {})[channel] = file
    expected = [f"{channel:04d}" for channel in range(len(description["channel_names"]))]
    for case_id, files in groups.items():
        colours = list(files) == ["0000"] and pictures.is_picture(files["0000"])
        if sorted(files) != expected and not colours:
            found.faults.append(
                f"{images}: case '{case_id}': channels {', '.join(sorted(files))}; "
                f"expected {', '.join(expected)}"
            )
        if side == "test" and case_id not in labels:
            found.faults.append(f"{label_folder}: test case '{case_id}' has no label")
        found.add(case_id, side, [files[it] for it in sorted(files)], labels.get(case_id))
    for case_id, file in labels.items():
        if case_id not in groups:
            found.faults.append(f"{file}: a label without an image in {images}")
            found.use([file])


def _with_fold(dataset: DecathlonDataset, found: Found) -> tuple[list[RawCase], tuple[str, ...]]:
    """The cases, the test set taken from the fold that is asked for; and a word if none is."""
    path = found.folder / SPLITS
    if dataset.fold is None:
        unused = f"{SPLITS} is not used; dataset.fold: 0 takes the test set from its first fold"
        return found.cases, (unused,) if path.exists() else ()
    if any(case.split == "test" for case in found.cases):
        raise UserError(
            f"{dataset.name}: both dataset.fold and labelsTs give a test set; take fold away, or "
            "name imagesTs and labelsTs in dataset.ignore"
        )
    folds = read_json(path)
    try:
        fold = folds[dataset.fold]
        sides: dict[str, Side] = dict.fromkeys(fold["train"], "train")
        sides |= dict.fromkeys(fold["val"], "test")
    except (LookupError, TypeError):
        raise UserError(
            f"{path}: has no fold {dataset.fold} of the form {{'train': [ids], 'val': [ids]}}"
        ) from None
    known = {case.id: case for case in found.cases}
    twice = set(fold["train"]) & set(fold["val"])
    raise_faults(
        [f"{path}: fold {dataset.fold}: there is no case '{it}'" for it in sides if it not in known]
        + [f"{path}: fold {dataset.fold}: '{it}' is in both parts" for it in sorted(twice)]
        + [
            f"{path}: fold {dataset.fold}: '{it}' has a label and is in neither part"
            for it, case in known.items()
            if case.labeled and it not in sides
        ]
        + [
            f"{path}: fold {dataset.fold}: '{it}' of 'val' has no label"
            for it, case in known.items()
            if sides.get(it) == "test" and not case.labeled
        ]
    )
    cases = [replace(case, split=sides.get(case.id, "train")) for case in found.cases]
    return cases, (f"the test set is 'val' of fold {dataset.fold} in {SPLITS}",)
