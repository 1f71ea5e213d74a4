"""Settings of a data set: what all have in common; those of its importer stand in its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import SchemaValidator, core_schema

from ssl_methods.config.base import (
    IN_ORDER,
    Lengths,
    Name,
    Settings,
    digest,
    setting,
)
from ssl_methods.plugins import Plugins, is_file, name_of

MOST_GENERATED_VOXELS = 512**3


def check_voxels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a generated case. Raises ValueError if there is nothing in it, or too much."""
    if any(size < 1 for size in shape):
        raise ValueError("must be at least 1 along each axis")
    if math.prod(shape) > MOST_GENERATED_VOXELS:
        raise ValueError(f"must hold at most {MOST_GENERATED_VOXELS} voxels (512 x 512 x 512)")
    return shape


AXES = ("RL", "AP", "SI")  # right or left, anterior or posterior, superior or inferior
Orientation = Annotated[str, Field(pattern="^[RLAPSI]{2,3}$")]


class DatasetBase(Settings):
    """What is common to every importer: how a scan becomes a prepared case."""

    generated: ClassVar[bool] = False  # by the importer, from no files

    name: Name = Field(description="name of the data set; the draw of labeled cases depends on it")
    path: Path | None = setting(
        None, "folder that holds the data; relative to the working directory"
    )
    ignore: tuple[str, ...] = setting(
        (),
        "files below path that are no part of the data set, as patterns such as notes/* or *.txt; "
        "* stands for any text, / included",
    )
    orientation: Orientation | None = setting(
        None,
        "turn all scans to these axes, e.g. RAS: letters of where each axis points; none: those "
        "that most scans have",
    )
    spacing: Lengths | None = setting(
        None,
        f"resample to this voxel size in mm, {IN_ORDER}, once all scans are turned alike; "
        "none keeps each scan's own",
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "zscore",
        "how intensities are scaled; zscore: to zero mean and unit variance; percentile, window: "
        "clip_percentiles, clip_values are mapped to 0..1",
    )
    clip_values: tuple[float, float] | None = setting(
        None, "clip intensities to these values before all else, e.g. a window of CT in HU"
    )
    clip_percentiles: tuple[float, float] | None = setting(
        None, "clip intensities to these percentiles before normalising; percentile needs it"
    )
    crop: Literal["none", "nonzero", "label"] = setting(
        "none",
        "crop to the bounding box of the non-zero image, or of the reference label (an oracle)",
    )
    crop_margin_mm: float = setting(10.0, "margin kept around the crop, in mm", ge=0)
    source_crop_used_label: bool = setting(
        False,
        "whether the data arrived cropped with the reference label; shown as a flag in the tables",
    )
    test_cases: int | float | None = setting(
        None,
        "size of the test set, drawn from the labeled cases if the source declares none: a count, "
        "or "
        "a fraction",
        ge=0,
    )
    split_seed: int = setting(0, "seed of the draw of test cases", ge=0)
    repeated_scans: bool = setting(
        False,
        "whether one scan may stand under two ids on both sides of a split, as in some published",
    )
    classes: Literal["merged", "separate"] = setting(
        "separate", "whether each label value is a class, or all of them are one"
    )

    header: Literal["agree", "sform", "qform"] = setting(
        "agree",
        "what is taken where a file states its grid twice and the two differ by half a voxel: "
        "agree refuses the file; sform, or its like in NRRD and MetaImage (directions); qform",
    )
    importer: str

    @property
    def crop_used_label(self) -> bool:
        """Did the reference label decide what part of the scan is seen, unlabeled ones too?"""
        return self.source_crop_used_label or self.crop == "label"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.normalisation == "percentile" and self.clip_percentiles is None:
            raise ValueError("normalisation 'percentile' needs clip_percentiles, e.g. [1, 99]")
        if self.normalisation == "window" and self.clip_values is None:
            raise ValueError("normalisation 'window' needs clip_values, e.g. [0, 255]")
        if self.clip_values and not self.clip_values[0] < self.clip_values[1]:
            raise ValueError("clip_values must rise, e.g. [-125, 275]")
        if (
            self.clip_percentiles
            and not 0 <= self.clip_percentiles[0] < self.clip_percentiles[1] <= 100
        ):
            raise ValueError("clip_percentiles must rise, within 0..100")
        axes = [axis for axis in AXES for letter in self.orientation or "" if letter in axis]
        if len(axes) != len(set(axes)):
            raise ValueError("orientation names an axis twice; it is one of R or L, A or P, S or I")
        if isinstance(self.test_cases, float) and self.test_cases >= 1:
            raise ValueError("test_cases: a fraction must be below 1; give a count without a point")
        return self

    def digest(self) -> str:
        """Names the prepared store: equal settings share one."""
        return digest(self.model_dump(mode="json"))


class StainSettings(Settings):
    """Settings of data sets that can hold stained tissue, in RGB of 0..255."""

    stain: Literal["none", "macenko", "reinhard"] = setting(
        "none",
        "how stains are brought to those of a reference case, before all else",
        source="Macenko et al., ISBI 2009; Reinhard et al., IEEE CG&A 2001",
    )
    stain_reference: str | None = setting(
        None,
        "id of the reference case of stain, of the training set; none: the first that has a label",
    )


class ListSettings(Settings):
    """Settings of data sets that come with lists of cases, some of them for validation."""

    overlap: Literal["refuse", "training", "validation"] = setting(
        "refuse",
        "which list counts where a case is listed for training and for validation, or refuse; a "
        "case for training and for testing is refused in any case",
    )


# ---- which importer ------------------------------------------------------------------------------

IMPORTERS = Plugins("ssl_methods.data.importers", "importer", "ssl_methods.importers")


def name_importer(dataset: object) -> None:
    """Make known the importer of a data set that the user declares, if it is a file of one's own.

    Only for files that the user gave: they are programs. Raises UserError as
    ``Plugins.register`` does.
    """
    importer = dataset.get("importer") if isinstance(dataset, Mapping) else None
    if isinstance(importer, str) and is_file(importer):
        IMPORTERS.register(Path(importer))


def dataset_class(importer: str) -> type[DatasetBase]:
    """The settings of data sets that an importer reads, defined in its file.

    Raises UserError if there is no such importer, or not one class of settings in it.
    """
    return IMPORTERS.subclass(name_of(importer), DatasetBase)


class RecordedDataset(DatasetBase):
    """A data set whose importer is a program that the user has not named.

    Records are data, so none runs because of them: the settings are kept as they are recorded, and
    suffice for all but importing.
    """

    model_config = ConfigDict(extra="allow")


class RecordedStainedDataset(RecordedDataset, StainSettings):
    """One whose scans may be stained tissue."""

    model_config = ConfigDict(extra="allow")


class _OfItsImporter:
    """The type of a data set: that of its importer, whose file is imported when it is needed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(_read)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        kinds = {name: dataset_class(name) for name in IMPORTERS.names()}
        return handler(_tagged(kinds))


def _read(value: Any) -> DatasetBase:
    """Raises pydantic's errors of a union of all data sets, of which one importer is imported."""
    if isinstance(value, DatasetBase):
        return value
    importer = value.get("importer") if isinstance(value, Mapping) else None
    kinds: dict[str, type[DatasetBase]] = {}
    if isinstance(importer, str):
        name = name_of(importer)
        if name in IMPORTERS.own if is_file(importer) else name in IMPORTERS.packaged:
            kinds[importer] = dataset_class(importer)
        elif is_file(importer):
            stained = "stain" in value
            kinds[importer] = RecordedStainedDataset if stained else RecordedDataset
    dataset: DatasetBase = SchemaValidator(_tagged(kinds)).validate_python(value)
    return dataset


def _tagged(kinds: Mapping[str, type[DatasetBase]]) -> Any:
    choices = {name: kind.__pydantic_core_schema__ for name, kind in kinds.items()}
    return core_schema.tagged_union_schema(choices, "importer")


Dataset = Annotated[DatasetBase, _OfItsImporter()]
