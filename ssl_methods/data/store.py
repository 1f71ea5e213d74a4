"""The prepared store: one folder per data set, memory-mapped arrays and one manifest.

``<results>/prepared/<dataset>-<digest>/manifest.json`` and ``cases/<id>/{image,label}.npy``; with
stain normalisation, ``stain_reference.npy``. The manifest is written last, so that a store with a
manifest is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ssl_methods.config import DatasetBase
from ssl_methods.errors import UserError, printable
from ssl_methods.files import file_sha256, read_json

FORMAT: Literal[2] = 2
MOST_CHANNELS = 1024
STAIN_REFERENCE = "stain_reference.npy"
SplitName = Literal["train", "test"]


def _names_a_folder(case_id: str) -> str:
    if not is_folder_name(case_id):
        raise ValueError(f"case id {case_id!r} cannot be a folder's name")
    return case_id


def is_folder_name(text: str) -> bool:
    """One printable name without separators, that is not hidden and leads nowhere else."""
    return bool(text) and text.isprintable() and text[0] != "." and not set(text) & set("/\\")


class BrokenData(UserError):
    """A prepared array is not what was prepared."""


class CaseRecord(BaseModel):
    """What the manifest says of one case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, AfterValidator(_names_a_folder)]
    split: SplitName
    labeled: bool
    shape: tuple[int, ...]  # spatial
    spacing: tuple[float, ...] | None  # mm; None if unknown
    affine: list[list[float]] | None  # 4x4, voxel of the prepared grid -> RAS mm; None if unknown
    image_sha256: str
    voxels_sha256: str | None = (
        None  # of the source's voxel values in rising order; equal for the same scan
    )
    label_sha256: str | None
    foreground_voxels: list[int] | None  # one number per class; None without a label
    group: str | None = None  # never on both sides of a split, e.g. a slide that was cut into tiles


class StainReference(BaseModel):
    """The case whose stains all others were brought to; its raw image lies in the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: str
    sha256: str


class Manifest(BaseModel):
    """What one prepared store holds, and what it was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2] = FORMAT
    dataset: str
    settings: dict[str, Any]
    dimensions: Literal[2, 3]
    channels: int = Field(ge=1, le=MOST_CHANNELS)
    classes: list[str]
    label_values: list[list[int]] = []  # of each class, the values that the source's labels have
    orientation: str | None = None  # where the axes of all cases point, e.g. "RAS"
    crop_used_label: bool
    stain_reference: StainReference | None = None
    cases: list[CaseRecord]


class Store:
    """A prepared data set, read only; its arrays are memory-mapped."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.dimensions: int = manifest.dimensions
        self.channels = manifest.channels
        self.classes = manifest.classes
        self.label_values = manifest.label_values
        self.cases = {case.id: case for case in manifest.cases}

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Raises UserError if the folder holds no complete store."""
        path = folder / "manifest.json"
        if not path.is_file():
            raise UserError(
                f"{folder}: holds no prepared data (manifest.json); run 'prepare' first"
            )
        content = read_json(path)
        found = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
        if found != FORMAT:
            raise UserError(
                f"{path}: is of format {found}, made by another version (this one reads {FORMAT}); "
                "run 'prepare' again"
            )
        try:
            return cls(folder, Manifest.model_validate(content))
        except ValidationError as error:
            fault = error.errors()[0]
            key = printable(".".join(map(str, fault["loc"])), 200)
            raise UserError(f"{path}: {key}: {fault['msg']}; run 'prepare' again") from None

    @classmethod
    def without_cases(cls, folder: Path, form: Any, settings: dict[str, Any]) -> Store:
        """What ``form`` described, for new scans; a stain reference lies in ``folder``.

        Raises UserError if it is no such description.
        """
        given = form if isinstance(form, dict) else {}
        try:
            return cls(folder, Manifest(**given, settings=settings, cases=[]))
        except (ValidationError, TypeError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise UserError(f"{folder}: its record of the data is broken ({why})") from None

    def form(self) -> dict[str, Any]:
        """The manifest without its cases and settings: what a new scan has to be like."""
        return self.manifest.model_dump(mode="json", exclude={"settings", "cases"})

    def image(self, case_id: str) -> NDArray[np.float32]:
        """Float32, (C, *spatial), memory-mapped read-only."""
        return _load(self._case_file(case_id, "image"))

    def label(self, case_id: str) -> NDArray[np.uint8]:
        """Uint8, (*spatial), values 0..K, memory-mapped. Raises UserError for an unlabeled case."""
        path = self._case_file(case_id, "label")
        if not self.cases[case_id].labeled:
            raise UserError(f"{self.manifest.dataset}: case '{case_id}' has no label")
        return _load(path)

    def stain_reference(self) -> NDArray[np.float32] | None:
        """Float32, (3, x, y), RGB in 0..255 as in the source; None without stain normalisation."""
        reference = self.manifest.stain_reference
        if reference is None:
            return None
        path = self.folder / STAIN_REFERENCE
        _check_sha256(path, reference.sha256, self.folder, reference.case)
        return np.array(_load(path))

    def ids(self, split: SplitName) -> list[str]:
        """Ids of the cases, in the order of the manifest."""
        return [case.id for case in self.manifest.cases if case.split == split]

    def verify(self, ids: Iterable[str], labels: bool = True) -> None:
        """Compare files with the checksums of the manifest; BrokenData for the first that differs.

        Training leaves the label files of unlabeled cases closed: ``labels=False``.
        """
        for case_id in ids:
            case = self.cases[case_id]
            expected_label = case.label_sha256 if labels else None
            for kind, expected in (("image", case.image_sha256), ("label", expected_label)):
                path = self._case_file(case_id, kind)
                if expected is not None:
                    _check_sha256(path, expected, self.folder, case_id)

    def _case_file(self, case_id: str, kind: str) -> Path:
        if case_id not in self.cases:
            raise UserError(f"{self.folder}: there is no case '{case_id}'")
        return case_file(self.folder, case_id, kind)


def _check_sha256(path: Path, expected: str, folder: Path, case_id: str) -> None:
    if _sha256_or_none(path) != expected:
        raise BrokenData(
            f"case '{case_id}': {path} is not what was prepared (checksum differs); "
            f"delete {folder} and run 'prepare' again"
        )


def store_folder(dataset: DatasetBase, results: Path) -> Path:
    """Where the store of a data set with these settings is."""
    return results / "prepared" / f"{dataset.name}-{dataset.digest()}"


def case_file(folder: Path, case_id: str, kind: str) -> Path:
    """``kind`` is 'image' or 'label'."""
    return folder / "cases" / case_id / f"{kind}.npy"


def _sha256_or_none(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _load(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run 'prepare' again") from None
    return array
