"""A folder of ``images/`` and ``labels/`` in NIfTI, NRRD, or as pictures (PNG, TIFF, JPEG).

The file name without its suffix is the id; an image without a label file of the same name is an
unlabeled case. Files may lie in folders of their own, such as ``images/<slide>/<tile>.png``: the id
is then ``<slide>-<tile>``, and the tiles of a slide are never on both sides of a split. Two
optional files: ``test.list`` names the test cases (or slides), one id per line; ``classes.txt``
names the classes, the first line for label value 1, the second for 2, and so on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ssl_methods.config import FolderDataset
from ssl_methods.data.importers import (
    RawCase,
    Source,
    load_files,
    raise_faults,
    read_id_list,
    source_folder,
)
from ssl_methods.data.volumes import volume_id
from ssl_methods.errors import UserError


def read(dataset: FolderDataset) -> Source:
    folder = source_folder(dataset)
    images = volumes(folder / "images")
    labels = volumes(folder / "labels")
    raise_faults(
        f"{path}: a label without an image of the same name in {folder / 'images'}"
        for case_id, path in labels.items()
        if case_id not in images
    )
    groups = {case_id: _group(path, folder / "images") for case_id, path in images.items()}
    test = _test_ids(folder, groups, labels)
    cases = [
        RawCase(
            case_id,
            "test" if case_id in test else "train",
            case_id in labels,
            partial(load_files, (path,), labels.get(case_id), dataset.pixel_size_mm),
            groups[case_id],
        )
        for case_id, path in images.items()
    ]
    return Source(cases, _classes(dataset, folder))


def volumes(folder: Path) -> dict[str, Path]:
    """Id -> file, sorted, of a folder and the folders in it.

    Raises UserError if the folder is missing or an id occurs twice.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted([*folder.iterdir(), *folder.glob("[!.]*/*")]):
        name = volume_id(path)
        if name is None or path.is_dir():
            continue
        group = _group(path, folder)
        case_id = name if group is None else f"{group}-{name}"
        if case_id in found:
            raise UserError(
                f"{path}: case id '{case_id}' is also that of {found[case_id].relative_to(folder)}"
            )
        found[case_id] = path
    return found


def _group(path: Path, folder: Path) -> str | None:
    """The name of the slide, if the file lies in a folder of its own."""
    return None if path.parent == folder else path.parent.name


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


def _classes(dataset: FolderDataset, folder: Path) -> dict[int, str] | None:
    path = folder / "classes.txt"
    if path.exists():
        return dict(enumerate(read_id_list(path), start=1))
    if dataset.classes == "separate":
        raise UserError(f"{path}: is missing; classes: separate needs one class name per line")
    return None
