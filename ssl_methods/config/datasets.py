"""Settings of a data set: one model per importer, on what all have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, field_validator, model_validator

from ssl_methods.config.base import (
    IN_ORDER,
    LARGEST_SEED,
    Lengths,
    Name,
    Settings,
    Sizes,
    digest,
    setting,
)

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


class PhantomDataset(DatasetBase):
    """Generated cases: a chamber with tubular branches among look-alikes; no download."""

    importer: Literal["phantom"]
    classes: Literal["merged", "separate"] = setting(
        "merged", "whether chamber and branches are one class, or one class each"
    )
    shape: Sizes = setting((48, 48, 32), f"size of a case in voxels, 2D or 3D, {IN_ORDER}")
    train_cases: int = setting(20, "number of training cases", ge=1, le=100_000)
    test_cases: int | float | None = setting(8, "number of test cases", ge=1, le=100_000)
    difficulty: float = setting(
        0.5,
        "how hard the cases are; 0: bright and clean; 1: faint, noisy, among look-alikes",
        ge=0,
        le=1,
    )
    seed: int = setting(
        0,
        "seed of the generator: the same one gives the same cases, bit for bit",
        ge=0,
        le=LARGEST_SEED,
    )

    @field_validator("shape")
    @classmethod
    def _fits_in_memory(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return check_voxels(value)


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


class LeftAtriumDataset(DatasetBase):
    """<id>/mri_norm2.h5 with train.list and test.list, as UA-MT, DTC and their peers use it."""

    importer: Literal["left_atrium"]
    source_crop_used_label: bool = setting(
        True,
        "whether the files were cropped around the reference label, as the field's were, test "
        "scans too",
    )


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


class PancreasCTDataset(DatasetBase):
    """Pancreas-CT of TCIA: PANCREAS_<number>/ of DICOM slices and label<number>.nii.gz.

    The defaults are the DTC paper's preparation.
    """

    importer: Literal["pancreas_ct"]
    split: Literal["mc_net", "coranet", "drawn"] = setting(
        "mc_net",
        "whose training and test cases are taken (configs/splits/pancreas_ct_*.yaml), or drawn",
    )
    repeated_scans: bool = setting(
        False,
        "whether PANCREAS_0025 and 0070 are kept, repeats that TCIA removed and papers still used",
    )
    spacing: Lengths | None = setting(
        (1.0, 1.0, 1.0), f"resample to this voxel size in mm, {IN_ORDER}", source="DTC paper"
    )
    clip_values: tuple[float, float] | None = setting(
        (-125.0, 275.0), "window of intensities in HU", source="DTC paper"
    )
    crop: Literal["none", "nonzero", "label"] = setting(
        "label",
        "what scans are cropped to: the bounding box of the reference label, or of the non-zero "
        "image",
        source="DTC paper",
    )
    crop_margin_mm: float = setting(
        25.0, "margin kept around the crop, in mm: 25 voxels of 1 mm", source="DTC paper", ge=0
    )
    test_cases: int | float | None = setting(20, "size of the test set if split is drawn", ge=0)


class StainSettings(Settings):
    """Of data sets that can hold stained tissue, in RGB of 0..255."""

    stain: Literal["none", "macenko", "reinhard"] = setting(
        "none",
        "how stains are brought to those of a reference case, before all else",
        source="Macenko et al., ISBI 2009; Reinhard et al., IEEE CG&A 2001",
    )
    stain_reference: str | None = setting(
        None,
        "id of the reference case of stain, of the training set; none: the first that has a label",
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


class PhantomHistologyDataset(DatasetBase, StainSettings):
    """Generated H&E tiles with glands, of five laboratories; two are in the test set alone."""

    importer: Literal["phantom_histology"]
    shape: tuple[int, int] = setting(
        (96, 96), f"size of a tile in pixels, each of 2 um, {IN_ORDER}"
    )
    train_cases: int = setting(
        16, "number of training tiles of each of the three training laboratories", ge=1, le=10_000
    )
    labeled_laboratories: int = setting(
        1,
        "number of training laboratories with labels; tiles of the others are unlabeled",
        ge=1,
        le=3,
    )
    test_cases: int | float | None = setting(
        8, "number of test tiles of each of the five laboratories", ge=1, le=10_000
    )
    difficulty: float = setting(
        0.5,
        "how hard the tiles are; 0: stained alike and clean; 1: laboratories far apart, tissue "
        "hard to tell",
        ge=0,
        le=1,
    )
    seed: int = setting(
        0,
        "seed of the generator: the same one gives the same cases, bit for bit",
        ge=0,
        le=LARGEST_SEED,
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "window",
        "how intensities are scaled: the same for every tile, so that colours stay what they are",
    )
    clip_values: tuple[float, float] | None = setting(
        (0.0, 255.0), "intensities to clip to: the range of 8 bits"
    )

    @field_validator("shape")
    @classmethod
    def _fits_in_memory(cls, value: tuple[int, int]) -> tuple[int, ...]:
        return check_voxels(value)


Dataset = Annotated[
    PhantomDataset
    | DecathlonDataset
    | LeftAtriumDataset
    | LeftAtriumChallengeDataset
    | PancreasCTDataset
    | FolderDataset
    | PhantomHistologyDataset,
    Discriminator("importer"),
]
