"""The contract of an importer, and what importers share.

An importer is one file per layout with a function ``read(dataset) -> Source``. It lists cases and
says how to load one; no scan is opened before ``RawCase.load``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_methods.config import DatasetBase, read_yaml
from ssl_methods.data.store import is_folder_name
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    from ssl_methods.data.volumes import Choice

MAX_FAULTS = 10
DATA_FILE, DATA_VARIABLE = "data.yaml", "SSL_METHODS_DATA"


class Scan(NamedTuple):
    """One case as it is in the source."""

    image: NDArray[np.float32]  # (C, *spatial)
    label: NDArray[Any] | None  # (*spatial), the source's own values
    spacing: tuple[float, ...] | None  # mm; None if the source does not say
    affine: NDArray[np.float64] | None  # 4x4 voxel -> RAS mm; None if the source does not say


@dataclass(frozen=True)
class RawCase:
    """A case that can be loaded, here or in another process (``load`` must be picklable)."""

    id: str
    split: Literal["train", "test"]
    labeled: bool
    load: Callable[[], Scan]
    group: str | None = None  # what it shares with others, e.g. the slide that tiles were cut from
    load_label: Callable[[], NDArray[Any]] | None = None  # alone; where the values are not declared


@dataclass(frozen=True)
class Source:
    """What an importer found; ``classes``: label value -> name, or None if it does not say."""

    cases: list[RawCase]
    classes: dict[int, str] | None
    remarks: tuple[str, ...] = ()  # what a user should know of how the folder was read
    ignored: tuple[Path, ...] = ()  # files that dataset.ignore names
    # Read by a library that a damaged file can crash: never in the process that prepares.
    may_crash: bool = False
    test_drawn: bool = False  # the source declares no test set


def source_folder(dataset: DatasetBase) -> Path:
    """The folder of the data: ``dataset.path``, unless this machine has them elsewhere.

    ``data.yaml`` in the working directory names folders by data set, or by the last part of its
    path; ``SSL_METHODS_DATA`` is a
    folder in which the last part of a relative path is looked for. Neither is a setting: where data
    lie changes no digest. Raises UserError if the folder is not set or not there.
    """
    if dataset.path is None:
        raise UserError(
            f"{dataset.name}: dataset.path is missing; name the folder that holds the data"
        )
    folder = dataset.path.expanduser()
    named = _paths_of_this_machine()
    if own := named.get(dataset.name) or named.get(folder.name):
        if not (here := Path(str(own)).expanduser()).is_dir():
            raise UserError(f"{DATA_FILE}: {here} is not a folder ({dataset.name})")
        return here
    root = os.environ.get(DATA_VARIABLE)
    if root and not folder.is_absolute() and (below := Path(root, folder.name)).is_dir():
        return below
    if not folder.is_dir():
        raise UserError(
            f"{dataset.name}: dataset.path {folder} is not a folder; name yours in {DATA_FILE} "
            f"({dataset.name}: /path/to/it), or set {DATA_VARIABLE} to the folder that holds "
            f"'{folder.name}', or change the path"
        )
    return folder


def _paths_of_this_machine() -> dict[str, Any]:
    return read_yaml(Path(DATA_FILE)) if os.path.lexists(DATA_FILE) else {}


def check_ids(dataset: DatasetBase, ids: list[str]) -> None:
    """Ids name folders: no separator, no leading dot, none twice, and at least one."""
    if not ids:
        raise UserError(f"{dataset.name}: no cases found in {dataset.path}")
    faults = [
        f"{dataset.name}: case id {case_id!r} cannot be a folder's name; rename it"
        for case_id in ids
        if not is_folder_name(case_id)
    ]
    twice = sorted(case_id for case_id, count in Counter(ids).items() if count > 1)
    faults += [f"{dataset.name}: case id '{case_id}' occurs more than once" for case_id in twice]
    raise_faults(faults)


def raise_faults(faults: Iterable[str]) -> None:
    """One UserError of one line per fault, the first ten; nothing if there is none."""
    faults = list(faults)
    if faults:
        more = len(faults) - MAX_FAULTS
        raise UserError(
            "\n".join(faults[:MAX_FAULTS] + ([f"... and {more} more"] if more > 0 else []))
        )


def check_all_used(faults: Iterable[str], unused: Iterable[Path], layout: str) -> None:
    """UserError for the faults of a folder and each file that is not used; ``layout``: what is."""
    left = [f"{path}: is not used" for path in unused]
    if left:
        left[0] += f" ({layout}); move such files away, or name them in dataset.ignore"
    raise_faults([*faults, *left])


def load_files(
    images: tuple[Path, ...],
    label: Path | None,
    pixel_size_mm: float = 1.0,
    header: Choice = "agree",
) -> Scan:
    """A case of image files: one image or one file per channel, and a label or none.

    ``pixel_size_mm`` is of pictures (PNG, TIFF, JPEG), which hold none; ``header`` is what is taken
    where a file contradicts itself.
    Raises UserError naming the file that lies elsewhere than the first image.
    """
    from ssl_methods.data.volumes import check_same_grid, read_label_volume, read_volume

    first = read_volume(images[0], pixel_size_mm, header)
    channels = [first.image]
    for path in images[1:]:
        volume = read_volume(path, pixel_size_mm, header)
        check_same_grid(path, volume, images[0], first)
        channels.append(volume.image)
    image = np.concatenate(channels) if len(channels) > 1 else first.image
    if label is None:
        return Scan(image, None, first.spacing, first.affine)
    volume = read_label_volume(label, pixel_size_mm, header)
    check_same_grid(label, volume, images[0], first)
    return Scan(image, volume.image, first.spacing, first.affine)


def load_hdf5(path: Path, spacing: tuple[float, ...] | None, backwards: bool = False) -> Scan:
    """A case of an HDF5 file that holds ``image`` and ``label``, 3D.

    ``backwards``: stored as (z, y, x), as ITK's arrays are; given back as (x, y, z).
    Raises UserError naming the file if it is broken, a key is missing or the two differ in shape.
    """
    from ssl_methods.data.arrays import read_hdf5

    image, label = read_hdf5(path, ("image", "label"))
    return paired(path, image, label, spacing, backwards)


def paired(
    path: Path,
    image: NDArray[Any],
    label: NDArray[Any],
    spacing: tuple[float, ...] | None,
    backwards: bool = False,
) -> Scan:
    """Two arrays as a case of one channel. Raises UserError, naming ``path``, as ``load_hdf5``."""
    from ssl_methods.data.volumes import whole_numbers

    if np.ndim(image) != 3 or np.shape(image) != np.shape(label):
        raise UserError(
            f"{path}: image {np.shape(image)} and label {np.shape(label)} differ in shape, or are "
            "not 3D"
        )
    image, label = np.asarray(image, dtype=np.float32), whole_numbers(label, path)
    if backwards:
        image, label = (np.ascontiguousarray(array.T) for array in (image, label))
    return Scan(image[np.newaxis], label, spacing, None)
