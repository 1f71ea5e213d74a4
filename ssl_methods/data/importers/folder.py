"""A folder of ``images/`` and ``labels/``: NIfTI, NRRD, MetaImage, or pictures (PNG, TIFF, JPEG).

The file name without its suffix is the id; an image without a label file of the same name is an
unlabeled case. Files may lie in folders of their own, such as ``images/<slide>/<tile>.png``: the id
is then ``<slide>-<tile>``, and the tiles of a slide are never on both sides of a split. Two
optional files: ``test.list`` names the test cases (or slides), one id per line; ``classes.txt``
names the classes, one per line: ``<value> <name>``, or names alone for label values 1, 2, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from ssl_methods.config import DatasetBase, StainSettings, setting
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
from ssl_methods.data.listing import Listing
from ssl_methods.data.lists import read_id_list
from ssl_methods.data.volumes import SUFFIXES, Choice, read_label_volume, volume_id
from ssl_methods.errors import UserError

LAYOUT = (
    "scans are images/<id> or images/<group>/<id>, labels likewise below labels/, with one of "
    f"{', '.join(SUFFIXES + pictures.SUFFIXES)}"
)


class FolderDataset(DatasetBase, StainSettings):
    """images/ and labels/ of NIfTI, NRRD or pictures; an image without a label is unlabeled."""

    importer: Literal["folder"]
    test_cases: int | float | None = setting(
        0.2, "size of the test set, drawn from the labeled cases: a count, or a fraction", ge=0
    )
    pixel_size_mm: float = setting(
        1.0,
        "pixel size of pictures (PNG, TIFF, JPEG), which hold none; with 1, columns in mm are in "
        "pixels",
        gt=0,
    )


def read(dataset: FolderDataset) -> Source:
    folder = source_folder(dataset)
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            raise UserError(f"{folder / part}: no such folder")
    files = Listing(folder, dataset.ignore)
    faults: list[str] = []
    images = volumes(files, "images", faults)
    labels = volumes(files, "labels", faults)
    faults += [
        f"{path}: a label without an image of the same name in {folder / 'images'}"
        f"{_channels_hint(case_id, images)}"
        for case_id, path in labels.items()
        if case_id not in images
    ]
    used = {folder / "test.list", folder / "classes.txt", *files_of(images), *files_of(labels)}
    check_all_used(faults, files.unused(used), LAYOUT)
    groups = {case_id: _group(path, folder / "images") for case_id, path in images.items()}
    test = _test_ids(folder, groups, labels)
    cases = [
        RawCase(
            case_id,
            "test" if case_id in test else "train",
            case_id in labels,
            partial(
                load_files, (path,), labels.get(case_id), dataset.pixel_size_mm, dataset.header
            ),
            groups[case_id],
            partial(_load_label, labels[case_id], dataset.header) if case_id in labels else None,
        )
        for case_id, path in images.items()
    ]
    return Source(cases, _classes(folder), ignored=tuple(files.ignored))


def volumes(files: Listing, part: str, faults: list[str]) -> dict[str, Path]:
    """Id -> image file, sorted, of the folder ``part`` and the folders in it.

    A second file of the same id is a fault.
    """
    folder = files.folder / part
    found: dict[str, Path] = {}
    for path in files.within(part):
        name = volume_id(path)
        if name is None:
            continue
        group = _group(path, folder)
        case_id = name if group is None else f"{group}-{name}"
        if case_id in found:
            other = found[case_id].relative_to(folder)
            faults.append(f"{path}: case id '{case_id}' is also that of {other}")
            files.named.add(path)
        else:
            found[case_id] = path
    return found


def files_of(found: dict[str, Path]) -> Iterable[Path]:
    """The image files, and those that hold the voxels of a header that stands alone."""
    for path in found.values():
        yield path
        yield from detached(path)


def detached(path: Path) -> list[Path]:
    """The files of voxels that a .nhdr or .mhd header names."""
    if path.suffix.lower() not in (".nhdr", ".mhd") or not path.is_file():
        return []
    text = path.read_bytes()[:65_536].decode(errors="replace")
    match = re.search(r"^(?:data ?file|ElementDataFile)\s*[:=]\s*(.+)$", text, re.I | re.M)
    if match is None:
        return []
    if "%" in match[1]:  # slice%03d.raw 1 60 1
        numbered = re.sub(r"%\d*d", "*", match[1].split()[0])
        return [it for it in path.parent.iterdir() if fnmatchcase(it.name, numbered)]
    names = [match[1], *text[match.end() :].splitlines()] if match[1][:4] == "LIST" else [match[1]]
    return [path.parent / name.strip() for name in names]


def _load_label(path: Path, header: Choice) -> NDArray[Any]:
    return read_label_volume(path, header=header).image


def _group(path: Path, folder: Path) -> str | None:
    """The name of the slide, if the file lies in a folder of its own."""
    return None if path.parent == folder else path.parent.name


def _channels_hint(case_id: str, images: dict[str, Path]) -> str:
    if f"{case_id}_0000" not in images:
        return ""
    return (
        f"; {case_id}_0000 is the name of a channel in nnU-Net's layout: write a dataset.json and "
        "set importer: decathlon, or rename it"
    )


def _test_ids(folder: Path, groups: dict[str, str | None], labels: dict[str, Path]) -> set[str]:
    """``test.list``, each name of a group replaced by its cases that have a label."""
    path = folder / "test.list"
    if not path.exists():
        return set()
    ids = read_id_list(path)
    if not ids:
        raise UserError(f"{path}: names no case; delete it to have a test set drawn")
    slides = set(groups.values()) & set(ids) - set(groups)
    cases = [it for it in ids if it not in slides]
    for known, what in ((groups, "image"), (labels, "label")):
        raise_faults(f"{path}: test case '{it}' has no {what}" for it in cases if it not in known)
    raise_faults(
        f"{path}: test slide '{slide}' has no label"
        for slide in sorted(map(str, slides))
        if not any(groups[it] == slide for it in labels)
    )
    return {*cases, *(it for it in groups if groups[it] in slides)}


def _classes(folder: Path) -> dict[int, str] | None:
    """Classes of ``classes.txt``, label value -> name; None without the file."""
    path = folder / "classes.txt"
    if not path.exists():
        return None
    lines = read_id_list(path)
    pairs = [re.fullmatch(r"(\d+)[\s:,;=]+(\S.*)", line) for line in lines]
    if lines and all(pairs):
        named = [(int(pair[1]), pair[2]) for pair in pairs if pair]
        values = [value for value, _ in named]
        if len(set(values)) < len(values):
            raise UserError(f"{path}: names a label value twice")
        if max(values) > LARGEST_VALUE:
            raise UserError(f"{path}: names value {max(values)}; values are 0..{LARGEST_VALUE}")
        classes = {value: name for value, name in named if value}
    else:
        if len(set(lines)) < len(lines):
            raise UserError(
                f"{path}: has a name twice; classes of one name are merged if each line is "
                "'<value> <name>'"
            )
        classes = dict(enumerate(lines, start=1))
    if not classes:
        raise UserError(f"{path}: names no class; delete it to have the values found")
    return classes
