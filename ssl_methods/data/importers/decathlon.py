"""Medical Segmentation Decathlon, and the raw layout of nnU-Net v2: dataset.json and NIfTI files.

Decathlon: ``training`` lists images and labels, ``test`` lists images without labels, which become
unlabeled training cases; channels are the last axis of a 4D file.
nnU-Net: ``imagesTr/<id>_0000.nii.gz`` (one file per channel) and ``labelsTr/<id>.nii.gz``; images
of ``imagesTs`` are unlabeled training cases, or the test set if there is a ``labelsTs``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from ssl_methods.config import DecathlonDataset
from ssl_methods.data.importers import RawCase, Source, load_files, raise_faults, source_folder
from ssl_methods.data.importers.folder import volumes
from ssl_methods.data.volumes import SUFFIXES, stays_below, volume_id
from ssl_methods.errors import UserError
from ssl_methods.files import read_json


def read(dataset: DecathlonDataset) -> Source:
    folder = source_folder(dataset)
    path = folder / "dataset.json"
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise UserError(f"{path}: has no 'labels' (label value and class name)")
    classes = _classes(path, description["labels"])
    if isinstance(description.get("training"), list):
        return Source(_decathlon_cases(path, description), classes)
    if "channel_names" in description:
        return Source(_nnunet_cases(path, description), classes)
    raise UserError(f"{path}: has neither 'training' (Decathlon) nor 'channel_names' (nnU-Net v2)")


def _classes(path: Path, labels: dict[str, Any]) -> dict[int, str]:
    """Decathlon writes {"1": "name"}, nnU-Net {"name": 1}; background is 0 in both."""
    classes: dict[int, str] = {}
    for key, value in labels.items():
        number, name = (value, key) if isinstance(value, int) else (key, value)
        try:
            number = int(number)
        except (TypeError, ValueError):
            raise UserError(
                f"{path}: labels: '{key}': one whole number per class is needed "
                f"(given: {value!r}); overlapping regions are not supported"
            ) from None
        if name == "ignore":
            raise UserError(f"{path}: labels: an 'ignore' label is not supported")
        if number in classes or not 0 <= number <= 255:
            raise UserError(f"{path}: labels: {number} is used twice, or is not within 0..255")
        classes[number] = str(name)
    classes.pop(0, None)
    if not classes:
        raise UserError(f"{path}: labels: names no foreground class")
    return dict(sorted(classes.items()))


def _decathlon_cases(path: Path, description: dict[str, Any]) -> list[RawCase]:
    cases, faults = [], []
    for entry in [*description["training"], *description.get("test", [])]:
        files = entry if isinstance(entry, dict) else {"image": entry}
        image, label = files.get("image"), files.get("label")
        if not isinstance(image, str) or not isinstance(label, str | None):
            raise UserError(
                f"{path}: {entry!r}: expected the path of an image, and of a label or none"
            )
        for listed_file in (image, label):
            if listed_file and not stays_below(listed_file):
                raise UserError(f"{path}: {listed_file}: is not within {path.parent}")
        image_path = path.parent / image
        label_path = path.parent / label if label else None
        for kind, file in (("image", image_path), ("label", label_path)):
            if file is not None and not file.is_file():
                faults.append(f"{path}: the {kind} {file} is listed but missing")
        case_id = volume_id(image_path)
        if case_id is None:
            faults.append(f"{path}: {image} is not one of {', '.join(SUFFIXES)}")
            continue
        load = partial(load_files, (image_path,), label_path)
        cases.append(RawCase(case_id, "train", label_path is not None, load))
    listed = {case.load.args[1] for case in cases}  # type: ignore[attr-defined]
    faults += _labels_without_image(
        path.parent / "labelsTr", {file.name for file in listed if file}
    )
    raise_faults(faults)
    return cases


def _labels_without_image(folder: Path, listed: set[str]) -> list[str]:
    found = volumes(folder) if folder.is_dir() else {}
    return [
        f"{file}: a label without an image in dataset.json"
        for file in found.values()
        if file.name not in listed
    ]


def _nnunet_cases(path: Path, description: dict[str, Any]) -> list[RawCase]:
    ending = description.get("file_ending", ".nii.gz")
    if ending not in SUFFIXES:
        raise UserError(f"{path}: file_ending '{ending}' is not one of {', '.join(SUFFIXES)}")
    channels = len(description["channel_names"])
    folder = path.parent
    cases = _nnunet_folder(folder, "Tr", "train", channels)
    if (folder / "imagesTs").is_dir():
        split: Literal["train", "test"] = "test" if (folder / "labelsTs").is_dir() else "train"
        cases += _nnunet_folder(folder, "Ts", split, channels)
    return cases


def _nnunet_folder(
    folder: Path, part: str, split: Literal["train", "test"], channels: int
) -> list[RawCase]:
    images, label_folder = folder / f"images{part}", folder / f"labels{part}"
    labels = volumes(label_folder) if label_folder.is_dir() else {}
    groups: dict[str, dict[str, Path]] = {}
    faults = []
    for name, file in volumes(images).items():
        case_id, _, channel = name.rpartition("_")
        if not case_id or not channel.isdigit():
            faults.append(f"{file}: the name must end in the channel's number, as CASE_0000")
            continue
        groups.setdefault(case_id, {})[channel] = file
    expected = [f"{channel:04d}" for channel in range(channels)]
    for case_id, files in groups.items():
        if sorted(files) != expected:
            found = ", ".join(sorted(files))
            faults.append(
                f"{images}: case '{case_id}': channels {found}; expected {', '.join(expected)}"
            )
        if split == "test" and case_id not in labels:
            faults.append(f"{label_folder}: test case '{case_id}' has no label")
    faults += [
        f"{file}: a label without an image in {images}"
        for case_id, file in labels.items()
        if case_id not in groups
    ]
    raise_faults(faults)
    return [
        RawCase(
            case_id,
            split,
            case_id in labels,
            partial(load_files, tuple(files[channel] for channel in expected), labels.get(case_id)),
        )
        for case_id, files in groups.items()
    ]
