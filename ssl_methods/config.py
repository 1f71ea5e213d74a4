"""Every setting of the harness: its default, its bounds and its one-line meaning.

YAML files override these models and add nothing to them: an unknown key is an error that names the
nearest valid one. Flow: ``load_experiment(file) -> Experiment``; ``Experiment.runs() -> [Run]``;
one ``Run`` holds all that training and evaluation need, and is written beside its results as
``run.yaml``. The settings of one method stand in that method's own file as a subclass of
``MethodConfig``. Imports no torch: this module is read each time the workflow is planned.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ssl_methods.errors import UserError

Recipe = Literal["unified", "as_released"]
LabeledCases = Literal["drawn", "first"]
Budget = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Sizes = tuple[int, int] | tuple[int, int, int]
Lengths = tuple[float, float] | tuple[float, float, float]

Model = TypeVar("Model", bound=BaseModel)
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster one, where it is

RESERVED_EXPERIMENT_NAMES = {"prepared", "showcase"}


def setting(
    default: Any, meaning: str, *, source: str = "", search: Any = None, **bounds: Any
) -> Any:
    """A field with its one-line meaning, where its default comes from, and its range for tuning."""
    extra = {key: value for key, value in (("source", source), ("search", search)) if value}
    return Field(default, description=meaning, json_schema_extra=extra or None, **bounds)


class Settings(BaseModel):
    """Base of all settings: immutable, no unknown keys, NaN and infinity refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


# ---- data ----------------------------------------------------------------------------


class DatasetBase(Settings):
    """What is common to every importer: how a scan becomes a prepared case."""

    name: Name
    path: Path | None = setting(
        None, "folder that holds the data; relative to the working directory"
    )
    spacing: Lengths | None = setting(
        None, "resample to this voxel size in mm; none keeps each scan's own"
    )
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "zscore",
        "zscore: zero mean, unit variance; percentile, window: clip_percentiles, clip_values "
        "mapped to 0..1",
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
        "the data arrived already cropped with the reference label; shown as a flag in the tables",
    )
    test_cases: int | float | None = setting(
        None,
        "test set drawn from the labeled cases if the source declares none: a count, or a fraction",
        ge=0,
    )
    split_seed: int = setting(0, "seed of that draw", ge=0)
    classes: Literal["merged", "separate"] = setting(
        "merged", "all foreground labels as one class, or one class each"
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
        if isinstance(self.test_cases, float) and self.test_cases >= 1:
            raise ValueError("test_cases: a fraction must be below 1; give a count without a point")
        return self

    def digest(self) -> str:
        """Names the prepared store: equal settings share one."""
        return digest(self.model_dump(mode="json"))


class PhantomDataset(DatasetBase):
    """Generated cases: a chamber with tubular branches among look-alikes; no download."""

    importer: Literal["phantom"]
    shape: Sizes = setting((48, 48, 32), "voxels of a case, 2D or 3D")
    train_cases: int = setting(20, "number of training cases", ge=1, le=100_000)
    test_cases: int | float | None = setting(8, "number of test cases", ge=1)
    difficulty: float = setting(
        0.5, "0: bright and clean; 1: faint, noisy, among look-alikes", ge=0, le=1
    )
    seed: int = setting(0, "the same seed gives the same cases, bit for bit", ge=0)


class DecathlonDataset(DatasetBase):
    """Medical Segmentation Decathlon or nnU-Net layout: dataset.json and NIfTI files."""

    importer: Literal["decathlon"]
    test_cases: int | float | None = setting(0.2, "test set drawn from the labeled cases", ge=0)


class LeftAtriumDataset(DatasetBase):
    """<id>/mri_norm2.h5 with train.list and test.list, as UA-MT, DTC and their peers use it."""

    importer: Literal["left_atrium"]
    source_crop_used_label: bool = setting(
        True, "the field's files were cropped around the reference label, test scans too"
    )


class LeftAtriumChallengeDataset(DatasetBase):
    """<id>/lgemri.nrrd and laendo.nrrd, as the 2018 Atrial Segmentation Challenge gave them out."""

    importer: Literal["left_atrium_challenge"]
    field_crop: bool = setting(
        True,
        "crop x and y around the reference label with random margins, as the field's files were",
        source="UA-MT code",
    )
    margin_seed: int = setting(0, "seed of those margins; the authors' was not fixed", ge=0)
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "none", "after the crop; the importer already scales the whole scan as zscore does"
    )
    test_cases: int | float | None = setting(
        0.2, "test set drawn from the labeled cases if there is no test.list", ge=0
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
        "mc_net", "whose training and test cases (configs/splits/pancreas_ct_*.yaml), or drawn"
    )
    repeated_scans: bool = setting(
        False, "keep PANCREAS_0025 and 0070, repeats that TCIA removed and papers still used"
    )
    spacing: Lengths | None = setting((1.0, 1.0, 1.0), "resample to this", source="DTC paper")
    clip_values: tuple[float, float] | None = setting(
        (-125.0, 275.0), "window in HU", source="DTC paper"
    )
    crop: Literal["none", "nonzero", "label"] = setting(
        "label", "around the reference label", source="DTC paper"
    )
    crop_margin_mm: float = setting(25.0, "25 voxels of 1 mm", source="DTC paper", ge=0)
    test_cases: int | float | None = setting(20, "test set drawn if split is drawn", ge=0)


class StainSettings(Settings):
    """Of data sets that can hold stained tissue, in RGB of 0..255."""

    stain: Literal["none", "macenko", "reinhard"] = setting(
        "none",
        "bring the stains to those of a reference case, before all else",
        source="Macenko et al., ISBI 2009; Reinhard et al., IEEE CG&A 2001",
    )
    stain_reference: str | None = setting(
        None, "id of that case, of the training set; none: the first that has a label"
    )


class FolderDataset(DatasetBase, StainSettings):
    """images/ and labels/ of NIfTI, NRRD or pictures; an image without a label is unlabeled."""

    importer: Literal["folder"]
    test_cases: int | float | None = setting(0.2, "test set drawn from the labeled cases", ge=0)
    pixel_size_mm: float = setting(
        1.0,
        "of pictures (PNG, TIFF, JPEG), which hold none; as 1, columns in mm are in pixels",
        gt=0,
    )


class PhantomHistologyDataset(DatasetBase, StainSettings):
    """Generated H&E tiles with glands, of five laboratories; two are in the test set alone."""

    importer: Literal["phantom_histology"]
    shape: tuple[int, int] = setting((96, 96), "pixels of a tile, each of 2 um")
    train_cases: int = setting(
        16, "training tiles of each of the three training laboratories", ge=1, le=10_000
    )
    labeled_laboratories: int = setting(
        1, "how many of the three have labels; tiles of the others are unlabeled", ge=1, le=3
    )
    test_cases: int | float | None = setting(8, "test tiles of each of the five", ge=1)
    difficulty: float = setting(
        0.5,
        "0: stained alike and clean; 1: laboratories far apart, tissue hard to tell",
        ge=0,
        le=1,
    )
    seed: int = setting(0, "the same seed gives the same cases, bit for bit", ge=0)
    normalisation: Literal["zscore", "percentile", "window", "none"] = setting(
        "window", "the same for every tile, so that colours stay what they are"
    )
    clip_values: tuple[float, float] | None = setting((0.0, 255.0), "the range of 8 bits")


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


# ---- model, training, evaluation -----------------------------------------------------


class NetworkConfig(Settings):
    """The encoder-decoder; the number of heads and decoders is the method's choice."""

    name: str = setting(
        "vnet",
        "architecture: vnet, unet, or monai:<ClassName> for any network of MONAI",
        pattern=r"^(vnet|unet|monai:[A-Za-z]\w*)$",
    )
    width: int = setting(16, "filters at full resolution", source="DTC code: 16", ge=1, le=256)
    levels: int = setting(5, "resolutions; each halves the last", source="DTC code: 5", ge=2, le=7)
    dropout: float = setting(
        0.5,
        "channel dropout after the deepest and the last block",
        source="DTC code: 0.5",
        ge=0,
        lt=1,
    )
    arguments: dict[str, Any] = setting(
        {}, "of a MONAI network, instead of width, levels and dropout"
    )

    @property
    def divisor(self) -> int:
        """Every size of a patch must be a multiple of this; MONAI's networks say it themselves."""
        return 1 if self.name.startswith("monai:") else 2 ** (self.levels - 1)

    @model_validator(mode="after")
    def _arguments_are_of_monai(self) -> Self:
        if self.arguments and not self.name.startswith("monai:"):
            raise ValueError("arguments are for monai:<ClassName>; here: width, levels, dropout")
        return self


class TrainingConfig(Settings):
    """The loop, the same for every method."""

    iterations: int = setting(6000, "optimiser steps", source="DTC paper: 6000", ge=1)
    patch_size: Sizes = setting(
        (112, 112, 80), "voxels of a training patch", source="DTC paper, LA"
    )
    labeled_batch: int = setting(2, "labeled patches per step", source="DTC paper: 2", ge=1)
    unlabeled_batch: int = setting(2, "unlabeled patches per step", source="DTC paper: 2", ge=0)
    learning_rate: float = setting(0.01, "at the start", source="DTC paper: 0.01", gt=0)
    momentum: float = setting(0.9, "of SGD", source="DTC code: 0.9", ge=0, lt=1)
    weight_decay: float = setting(1e-4, "of SGD", source="DTC code: 1e-4", ge=0)
    learning_rate_steps: tuple[float, ...] = setting(
        (2500 / 6000, 5000 / 6000),
        "fractions of the run after which the learning rate is divided by ten",
        source="DTC paper: every 2500 of 6000",
    )
    flip_axes: tuple[int, ...] = setting(
        (0, 1), "axes mirrored with probability 1/2 each", source="UA-MT, DTC code"
    )
    rotate: bool = setting(
        True, "rotate by a multiple of 90 degrees in the plane of the first two axes"
    )
    level_set_from: Literal["patch", "volume"] = setting(
        "patch",
        "normalise the signed distance on the augmented patch, or once on the whole volume",
        source="DTC code: patch; DTC paper: volume",
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "auto: bfloat16 autocast on CUDA, float32 on the CPU"
    )
    compile: Literal["none", "compile", "graphs"] = setting(
        "none",
        "compile: networks by torch.compile, which takes minutes at the start; graphs: and replayed"
        " as CUDA graphs",
    )
    deterministic: bool = setting(True, "the same run gives the same bits on the same machine")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: a GPU if one is visible, else the CPU"
    )
    runs_per_gpu: int = setting(
        1, "runs that share one GPU; changes their time and no result", ge=1, le=64
    )
    gpu_volumes_gb: float = setting(
        4.0,
        "a GPU holds the training volumes if they take no more than this; larger ones stay files",
        ge=0,
    )
    cpu_threads: int = setting(
        1, "threads of one run on the CPU; part of the result's last bits", ge=1
    )
    checkpoint_every: int = setting(200, "iterations between checkpoints", ge=1)
    log_every: int = setting(10, "iterations between rows of history.csv", ge=1)
    validate_every: int = setting(0, "iterations between validations; 0: none", ge=0)
    snapshots: int = setting(
        0,
        "evenly spaced iterations whose weights are kept and measured, for the audit of checkpoint "
        "rules; 0: none",
        ge=0,
        le=100,
    )

    @field_validator("learning_rate_steps")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(value) or any(not 0 < step <= 1 for step in value):
            raise ValueError("must rise, within 0..1")
        return value


class EvaluationConfig(Settings):
    """Sliding-window inference and the metrics."""

    stride: Sizes | None = setting(None, "voxels between windows; none: half a patch")
    nsd_tolerance_mm: float = setting(1.0, "tolerance of the normalised surface distance, mm", gt=0)
    window_batch: int = setting(4, "windows per forward pass", ge=1)
    save_predictions: bool = setting(False, "also write each prediction as NIfTI")


class MethodConfig(Settings):
    """Base of every method's own settings: the supervised part, which all methods share.

    Defaults are the unified recipe. ``as_released`` replaces those in which the authors' code
    differs.
    """

    as_released: ClassVar[Mapping[str, Any]] = {}

    ce_weight: float = setting(0.5, "weight of the cross-entropy", source="UA-MT code: 0.5", ge=0)
    dice_weight: float = setting(
        0.5,
        "weight of the Dice loss",
        source="UA-MT code: 0.5",
        ge=0,
        search=("log", 0.05, 5.0),
    )
    dice_form: Literal["squared", "plain"] = setting(
        "squared",
        "squared: squared denominators, pooled over the labeled patches; plain: sums, per patch",
        source="squared: DTC, UA-MT code; plain: DTC paper",
    )

    @classmethod
    def released_training(cls, training: TrainingConfig) -> TrainingConfig:
        """How the authors' code changes the loop itself (batch, schedule); most change nothing."""
        return training


class RampedConfig(MethodConfig):
    """Settings of a method with an unlabeled term whose weight warms up."""

    weight: float = setting(
        1.0, "largest weight of the unlabeled term", ge=0, search=("log", 0.01, 10.0)
    )
    ramp: Literal["gaussian", "stepwise", "constant"] = setting(
        "gaussian",
        "weight * exp(-5 (1 - t/t_max)^2), smooth or in forty steps; or constant",
        source="paper: gaussian; code: stepwise",
    )
    ramp_fraction: float = setting(
        1.0,
        "fraction of the run over which the weight rises",
        gt=0,
        le=1,
        search=("linear", 0.1, 1.0),
    )


class MethodChoice(Settings):
    """One row of the comparison: a method, its recipe, and what is overridden."""

    method: str
    module: Path | None = setting(
        None, "Python file that defines a method of one's own; relative to the working directory"
    )
    recipe: Recipe = "unified"
    settings: dict[str, Any] = {}


# ---- experiment and run --------------------------------------------------------------


class Run(Settings):
    """One cell of the grid: trained once, evaluated once."""

    experiment: Name
    dataset: Dataset
    name: Name  # the row's name: usually the method's own
    choice: MethodChoice
    budget: Budget
    subset: int = Field(ge=0)
    seed: int = Field(ge=0)
    validation_cases: int = Field(0, ge=0)
    labeled_cases: LabeledCases = "drawn"
    network: NetworkConfig
    training: TrainingConfig
    evaluation: EvaluationConfig

    @property
    def folder(self) -> Path:
        """Below results/: where everything of this run is."""
        budget = f"labeled-{budget_text(self.budget)}"
        subset, seed = f"subset-{self.subset}", f"seed-{self.seed}"
        return Path(self.experiment, "runs", self.name, budget, subset, seed)

    def training_digest(self) -> str:
        """Equal digests train equal models (given equal sources and data)."""
        settings = self.model_dump(mode="json", exclude={"experiment", "name", "evaluation"})
        for name in ("device", "runs_per_gpu", "gpu_volumes_gb"):  # where, not what
            settings["training"].pop(name)
        return digest(settings)

    def evaluation_digest(self) -> str:
        return digest([self.training_digest(), self.evaluation.model_dump(mode="json")])


class Experiment(Settings):
    """A declared grid: datasets x methods x budgets x subsets x seeds."""

    name: Name
    description: str = setting("", "one or two sentences, shown at the head of the report")
    dataset: Dataset
    methods: dict[Name, MethodChoice] = Field(min_length=1)
    budgets: tuple[Budget, ...] = Field(
        min_length=1, description="labeled cases: counts, fractions, or all"
    )
    subsets: tuple[int, ...] = setting((0, 1, 2), "which labeled subsets; a number n means 0..n-1")
    seeds: tuple[int, ...] = setting((0,), "which seeds; a number n means 0..n-1")
    recipe: Recipe = setting("unified", "for every method that names none")
    baseline: str = setting("supervised", "every other method is compared with this one")
    validation_cases: int = setting(0, "labeled training cases held out for validation", ge=0)
    labeled_cases: LabeledCases = setting(
        "drawn",
        "drawn: at random, anew for each subset; first: the first in the order of the source",
        source="first: DTC and UA-MT code, in the order of train.list",
    )
    other_crop: Name | None = setting(
        None, "experiment on the same scans with the other crop; the audits set it beside this one"
    )
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    studies: dict[Name, dict[str, Any] | None] = setting(
        {}, "tuning studies: names in configs/studies/, or each declared here"
    )

    @field_validator("studies", mode="before")
    @classmethod
    def _names_are_files(cls, value: Any) -> Any:
        return dict.fromkeys(value) if isinstance(value, list) else value

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_EXPERIMENT_NAMES:
            raise ValueError(f"'{value}' is reserved; choose another name")
        return value

    @field_validator("subsets", "seeds", mode="before")
    @classmethod
    def _count_means_range(cls, value: Any) -> Any:
        return (
            tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
        )

    @field_validator("subsets", "seeds", "budgets")
    @classmethod
    def _non_empty_and_distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value or len({budget_text(item) for item in value}) != len(value):
            raise ValueError("must name at least one value, and none twice")
        if any(item < 0 for item in value):
            raise ValueError("must not be negative")
        return value

    @field_validator("budgets", mode="before")
    @classmethod
    def _all_means_one(cls, value: Any) -> Any:
        return (
            tuple(1.0 if item == "all" else item for item in value)
            if isinstance(value, list)
            else value
        )

    @model_validator(mode="before")
    @classmethod
    def _spread_methods(cls, data: Any) -> Any:
        """``dtc: {k: 100}`` and ``[dtc, supervised]`` become method choices."""
        if not isinstance(data, dict) or "methods" not in data:
            return data
        methods = data["methods"]
        if isinstance(methods, list):
            methods = {name: {} for name in methods}
        if not isinstance(methods, dict):
            return data
        recipe = data.get("recipe", "unified")
        return data | {
            "methods": {name: _method_choice(name, it, recipe) for name, it in methods.items()}
        }

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        dimensions = len(self.training.patch_size)
        factor = self.network.divisor
        if any(size < factor or size % factor for size in self.training.patch_size):
            raise ValueError(
                f"training.patch_size {list(self.training.patch_size)} must be multiples of"
                f" {factor} (network.levels: {self.network.levels})"
            )
        if any(not 0 <= axis < dimensions for axis in self.training.flip_axes):
            raise ValueError(f"training.flip_axes must be within 0..{dimensions - 1}")
        if self.evaluation.stride is not None:
            if len(self.evaluation.stride) != dimensions:
                raise ValueError(
                    f"evaluation.stride needs {dimensions} numbers, as training.patch_size"
                )
            pairs = zip(self.evaluation.stride, self.training.patch_size, strict=True)
            if any(not 1 <= stride <= patch for stride, patch in pairs):
                raise ValueError("evaluation.stride must be within 1..training.patch_size")
        if (
            self.baseline not in self.methods
            and len(self.methods) > 1
            and self.baseline != "supervised"
        ):
            raise ValueError(
                f"baseline '{self.baseline}' is not among methods"
                f"{did_you_mean(self.baseline, self.methods)}"
            )
        if self.training.validate_every and not self.validation_cases:
            raise ValueError("training.validate_every needs validation_cases of at least 1")
        if self.labeled_cases == "first" and len(self.subsets) > 1:
            raise ValueError("labeled_cases 'first' makes one subset: set subsets: 1")
        return self

    def run(self, name: str, budget: int | float, subset: int, seed: int) -> Run:
        """One cell of the grid. Raises UserError for a name that is not declared."""
        if name not in self.methods:
            raise UserError(f"{self.name}: no method '{name}'{did_you_mean(name, self.methods)}")
        return Run(
            experiment=self.name,
            dataset=self.dataset,
            name=name,
            choice=self.methods[name],
            budget=budget,
            subset=subset,
            seed=seed,
            validation_cases=self.validation_cases,
            labeled_cases=self.labeled_cases,
            network=self.network,
            training=self.training,
            evaluation=self.evaluation,
        )

    def runs(self) -> Iterator[Run]:
        for name in self.methods:
            for budget in self.budgets:
                for subset in self.subsets:
                    for seed in self.seeds:
                        yield self.run(name, budget, subset, seed)


def _method_choice(name: str, overrides: Any, recipe: str) -> Any:
    if isinstance(overrides, str):  # a name in configs/methods/, or a file; one may hold many rows
        is_file = overrides.endswith(".yaml")
        overrides = read_yaml(Path(overrides) if is_file else find_config("methods", overrides))
        overrides = overrides.get(name, overrides)
    overrides = dict(overrides or {})
    if set(overrides) == set(MethodChoice.model_fields):
        return overrides
    module = overrides.pop("module", None)
    return {
        "method": overrides.pop("method", Path(module).stem if module else name),
        "module": module,
        "recipe": overrides.pop("recipe", recipe),
        "settings": overrides,
    }


# ---- reading -------------------------------------------------------------------------


def budget_text(budget: int | float) -> str:
    """4 -> '4'; 0.1 -> '0.1'; all labels -> '1.0'."""
    return str(budget)


def parse_budget(text: str) -> int | float:
    """The inverse of ``budget_text``; 'all' is 1.0. Raises UserError for anything else."""
    if text == "all":
        return 1.0
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise UserError(f"budget '{text}': give a count (8), a fraction (0.1) or 'all'") from None


def digest(data: Any) -> str:
    """Sixteen hexadecimal digits that name a JSON value."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def did_you_mean(word: str, words: Any) -> str:
    """'; did you mean ...?' or the list of valid names if none is near."""
    near = difflib.get_close_matches(str(word), [str(w) for w in words], n=1)
    return (
        f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(map(str, words)))}"
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises UserError naming the file if it is absent, broken or not a mapping."""
    try:
        data = yaml.load(path.read_text(), SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected 'key: value' lines at the top level")
    return data


def find_config(kind: str, name: str) -> Path:
    """configs/<kind>/<name>.yaml, below the working directory or beside the package."""
    folders = [Path("configs", kind), Path(__file__).parent.parent / "configs" / kind]
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UserError(f"configs/{kind}: there is no '{name}'{did_you_mean(name, known)}")


def published_folder() -> Path:
    """``configs/published`` below the working directory, or else beside the package."""
    here = Path("configs", "published")
    return here if here.is_dir() else Path(__file__).parent.parent / here


def load_experiment(source: Path | Mapping[str, Any]) -> Experiment:
    """An experiment from a YAML file or from a mapping already read.

    Raises UserError: one line per fault, each naming the file, the key and the nearest valid name.
    """
    data = read_yaml(source) if isinstance(source, Path) else dict(source)
    where = str(source) if isinstance(source, Path) else str(data.get("name", "experiment"))
    if isinstance(data.get("dataset"), str):
        data["dataset"] = read_yaml(find_config("datasets", data["dataset"]))
    return parse(Experiment, data, where)


def load_run(path: Path) -> Run:
    """The ``run.yaml`` of an earlier run; what it records beside the settings is left out."""
    return parse_run(read_yaml(path), path)


def parse_run(recorded: Mapping[str, Any], path: Path) -> Run:
    """The run among what ``path`` records."""
    settings = {key: recorded[key] for key in recorded if key in Run.model_fields}
    return parse(Run, settings, str(path))


def parse(model: type[Model], data: Any, where: str) -> Model:
    """Validate, and turn pydantic's report into one clear line per fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = sorted({_one_line(model, fault) for fault in error.errors()})
        raise UserError("\n".join(f"{where}: {line}" for line in lines)) from None


def _one_line(model: type[BaseModel], fault: Any) -> str:
    tags = {"constrained-int", "constrained-float", *_importers()}
    parts = [str(part) for part in fault["loc"]]
    key = ".".join(part for part in parts if part not in tags)
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(parts[-1], _keys_at(model, parts[:-1]))}"
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"] == "union_tag_invalid":
        given = fault["ctx"]["tag"]
        return f"{key}.importer: there is no '{given}'{did_you_mean(given, _importers())}"
    message = fault["msg"].removeprefix("Value error, ")
    given = fault.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{key}: {message}{shown}" if key else f"{message}{shown}"


def _keys_at(model: type[BaseModel], parts: list[str]) -> list[str]:
    """The valid keys of the model reached by following field names (and an importer's tag)."""
    importers = _importers()
    for part in parts:
        if part in importers:
            model = importers[part]
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _importers() -> dict[str, type[DatasetBase]]:
    """The dataset models by the importer that each is for."""
    kinds = DatasetBase.__subclasses__()
    return {get_args(kind.model_fields["importer"].annotation)[0]: kind for kind in kinds}
