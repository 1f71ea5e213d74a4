"""A trained run as a thing to predict with: restored, and all that a new scan has to be like.

In: folders of runs, or what `export` made of them; a scan's array. Out: its label map, on the
scan's own grid and with the values that the source's labels have. No prepared store is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_methods import methods
from ssl_methods.config import DatasetBase, EvaluationConfig, MethodChoice, Run, differences
from ssl_methods.data.geometry import Affine, affine_of, restore_label, restore_values
from ssl_methods.data.preprocessing import prepare_image
from ssl_methods.data.splits import labeled_count
from ssl_methods.data.stains import StainNormaliser, stain_normaliser
from ssl_methods.data.store import STAIN_REFERENCE, BrokenData, Store, store_folder
from ssl_methods.devices.placement import place
from ssl_methods.errors import UserError
from ssl_methods.evaluation.archive import folders_of
from ssl_methods.evaluation.inference import Predictor, label_map
from ssl_methods.evaluation.metrics import largest_component
from ssl_methods.files import file_sha256
from ssl_methods.methods.base import Method
from ssl_methods.run_record import Record, read_record, train_again
from ssl_methods.weights import Damaged, load_into, load_sealed, load_state

logger = logging.getLogger(__name__)

Label = NDArray[np.unsignedinteger[Any]]

# What of a data set's settings says which cases it has, not how a scan is prepared.
OF_THE_CASES = {"name", "path", "test_cases", "split_seed"}


def predictor_of(
    method: Method, run: Run, store: Store, evaluation: EvaluationConfig, device: torch.device
) -> Predictor:
    """What a run's method gives for whole images; the method is placed on the device.

    Its windows are as large as the patches of training, or the whole image.
    """
    patch_size = run.training.patch_size
    window = None if method.whole_image else patch_size
    predict = place(method, patch_size, device).predict
    classes, exclusive = len(store.classes), method.classes.exclusive
    resized = run.training.slices == "resized" and window is not None
    return Predictor(predict, window, classes, evaluation, device, exclusive, resized)


def untrained(run: Run, store: Store, labeled: int, choice: MethodChoice | None = None) -> Method:
    """The method of a run, freshly initialised, shaped for its data and number of labeled cases.

    Raises UserError if its patches have neither as many axes as the data, nor two for slices.
    """
    choice = choice or run.choice
    whole, axes = methods.method_class(choice.method).whole_image, len(run.training.patch_size)
    if axes not in {store.dimensions, 2}:
        raise UserError(
            f"training.patch_size: has {axes} numbers, but {run.dataset.name} is "
            f"{store.dimensions}D"
        )
    dimensions = store.dimensions if whole else axes
    shape = store.channels, len(store.classes), dimensions
    return methods.build(choice, run.network, *shape, labeled)


def restore(record: Record, store: Store) -> Method:
    """The trained method of a run, in evaluation mode, on the CPU; ``store`` says of what shape.

    Raises UserError if the model is absent, damaged or of other settings, or if its method is a
    program that the user has not named.
    """
    run, path = record.run, record.folder / "model.pt"
    choice = methods.named_by_the_user(run.choice, str(record.path))
    try:
        method = untrained(run, store, _labeled(record, store), choice)
    except UserError as error:
        raise UserError(f"{record.path}: {error}") from None
    except (MemoryError, RuntimeError):  # PyTorch's, where memory is short
        raise UserError(f"{record.path}: its network does not fit into memory") from None
    if not path.is_file():
        raise UserError(f"{record.folder}: is not trained (it has no model.pt); {train_again(run)}")
    try:
        load_into(method, _own_or_imported(path, record), path)
    except Damaged as error:
        raise Damaged(f"{error}; {train_again(run)}") from None
    return method.eval()


def _labeled(record: Record, store: Store) -> int:
    """How many cases the run's budget labels; of a run of an earlier version the store knows it."""
    found = record.content.get("labeled")
    if isinstance(found, int):
        return found
    if not store.cases:
        raise UserError(
            f"{record.path}: is damaged (labeled: no number); {train_again(record.run)}"
        )
    return labeled_count(record.run, store)


def _own_or_imported(path: Path, record: Record) -> dict[str, Tensor]:
    """The state dict of the run's model, or of one that was imported into its place on purpose."""
    if record.model_sha256 in (None, file_sha256(path)):
        return load_state(path)
    try:
        load_sealed(path)
    except Damaged:
        raise Damaged(f"{path}: is damaged, or another run's (its checksum differs)") from None
    logger.warning("%s: is an imported model, not the one that this run trained", path)
    return load_state(path)


@dataclass(frozen=True)
class Trained:
    """One trained run: what it was trained with, the form of its data, its method."""

    record: Record
    data: Store  # without cases
    method: Method

    @property
    def run(self) -> Run:
        return self.record.run

    @property
    def exclusive(self) -> bool:
        """Whether its classes exclude one another."""
        return self.method.classes.exclusive

    def portable_record(self) -> dict[str, Any]:
        """The content of a ``run.yaml`` that needs no prepared store and no other record."""
        return {
            **self.record.content,
            "model_sha256": file_sha256(self.record.folder / "model.pt"),
            "data": self.data.form(),
            "labeled": _labeled(self.record, self.data),
        }


def open_trained(folder: Path, results: Path) -> Trained:
    """A run's folder; ``results`` holds the store of a run that an earlier version trained.

    Raises UserError if the run is not trained, or is damaged.
    """
    record = read_record(folder)
    if "data" in record.content:
        settings = record.run.dataset.model_dump(mode="json")
        data = Store.without_cases(folder, record.content["data"], settings)
    else:
        try:
            data = Store.open(store_folder(record.run.dataset, results))
        except UserError as error:
            raise UserError(f"{record.path}: does not describe its data, and {error}") from None
    return Trained(record, data, restore(record, data))


class Model:
    """One trained run, or several as an ensemble: the mean of their probabilities."""

    def __init__(self, members: Sequence[Trained], device: torch.device | str = "cpu") -> None:
        """Place the methods on ``device``.

        Raises UserError if the runs are of different data, or if these were cropped with the
        reference label, which a new scan does not have.
        """
        first = members[0]
        for other in members[1:]:
            _check_alike(first, other)
        _check_crop(first)
        self.members, self.dataset, self.data = members, first.run.dataset, first.data
        self.stain = _stain_normaliser(first)
        self.place(torch.device(device))

    def place(self, device: torch.device) -> None:
        """Move the methods there."""
        self.device = device
        for member in self.members:
            place(member.method, member.run.training.patch_size, device)

    @property
    def classes(self) -> list[str]:
        """Names of the K classes."""
        return self.data.classes

    @property
    def values(self) -> list[int]:
        """What each class is in a label map, 1..65535: the value that the source's labels have.

        Of a class that was merged from several it is the first of them; 1 if it is the only class.
        """
        return label_values(self.data)

    def predict(
        self,
        image: NDArray[Any],
        spacing: Sequence[float],
        affine: Affine | None = None,
        largest_component: bool = False,
    ) -> Label:
        """The label map of a scan, (*spatial), uint8 or uint16: 0 and ``values``.

        Args:
            image: (C, *spatial), or (*spatial) for a model of one channel, with the intensities
                that the scan's file has.
            spacing: mm per spatial axis, in the order of the array's axes.
            affine: 4x4, voxel (i, j, k) to RAS mm. None: the axes lie as in the data that the model
                was trained on.
            largest_component: keep the largest connected component of each class alone.

        Raises:
            UserError: the image has other channels or dimensions than the model takes, or is
                constant or not finite.
        """
        return self.segment(self._with_channel(image), spacing, affine).label(largest_component)

    def probabilities(
        self, image: NDArray[Any], spacing: Sequence[float], affine: Affine | None = None
    ) -> NDArray[np.float32]:
        """(K, *spatial) in 0..1, 0 where a crop left the scan out; arguments as of ``predict``."""
        return self.segment(self._with_channel(image), spacing, affine).on_scan()

    def segment(
        self, image: NDArray[Any], spacing: Sequence[float], affine: Affine | None = None
    ) -> Segmentation:
        """What both are made of; of (C, *spatial), other arguments and errors as of ``predict``."""
        image = self._checked(image)
        placed = affine_of(spacing) if affine is None else affine
        prepared, prepared_affine = self._prepared(image, spacing, affine, self.dataset)
        total = torch.zeros((len(self.classes), *prepared.shape[1:]), device=self.device)
        for member in self.members:
            predictor = predictor_of(
                member.method, member.run, self.data, member.run.evaluation, self.device
            )
            total += predictor.probabilities(prepared)
        mean, exclusive = (total / len(self.members)).cpu(), self.members[0].exclusive
        return Segmentation(mean, prepared_affine, image.shape[1:], placed, self.values, exclusive)

    def check(
        self, image: NDArray[Any], spacing: Sequence[float], affine: Affine | None = None
    ) -> None:
        """Raises UserError as ``segment`` would, in less time: nothing is resampled."""
        at_its_size = self.dataset.model_copy(update={"spacing": None})
        self._prepared(self._checked(image), spacing, affine, at_its_size)

    def _prepared(
        self,
        image: NDArray[np.float32],
        spacing: Sequence[float],
        affine: Affine | None,
        dataset: DatasetBase,
    ) -> tuple[NDArray[np.float32], Affine]:
        """The scan prepared as the data that the runs were trained on, and where it lies."""
        orientation = None if affine is None else self.data.manifest.orientation
        prepared, _, placed = prepare_image(
            image, spacing, affine, dataset, self.stain, orientation
        )
        return prepared, placed

    def _with_channel(self, image: NDArray[Any]) -> NDArray[Any]:
        """(*spatial) as (1, *spatial)."""
        alone = image.ndim == self.data.dimensions and self.data.channels == 1
        return image[np.newaxis] if alone else image

    def _checked(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Raises UserError for other channels or dimensions."""
        found, wanted = (image.ndim - 1, len(image)), (self.data.dimensions, self.data.channels)
        if found != wanted:
            several = "; channels in files of their own are named CASE_0000, CASE_0001, ..."
            raise UserError(
                f"is {found[0]}D with {found[1]} channel(s); the model was trained on "
                f"{wanted[0]}D with {wanted[1]}{several if wanted[1] > 1 else ''}"
            )
        return np.asarray(image, np.float32)


@dataclass(frozen=True)
class Segmentation:
    """Probabilities (K, *spatial) on the prepared grid, and the way back to the scan's own."""

    probabilities: Tensor
    affine: Affine
    scan_shape: tuple[int, ...]
    scan_affine: Affine
    values: Sequence[int]
    exclusive: bool = False

    def label(self, largest: bool = False) -> Label:
        """The label map (*spatial) on the scan's grid; 0 and ``values``."""
        label = label_map(self.probabilities, self.exclusive).numpy()
        if largest:
            kept = np.zeros_like(label)
            for number in range(1, len(self.values) + 1):
                kept[largest_component(label == number)] = number
            label = kept
        numbers = restore_label(label, self.affine, self.scan_shape, self.scan_affine)
        return in_source_values(numbers, self.values)

    def on_scan(self) -> NDArray[np.float32]:
        """The probabilities on the scan's grid, interpolated linearly."""
        return np.stack(
            [
                restore_values(one.numpy(), self.affine, self.scan_shape, self.scan_affine)
                for one in self.probabilities
            ]
        )


def load(
    *runs: Path | str,
    results: Path | str = "results",
    device: torch.device | str = "cpu",
) -> Model:
    """The model of a run's folder or of what `export` wrote; of several, their ensemble.

    ``results`` holds the prepared store of a run that an earlier version trained. Raises UserError
    if a run is not trained, is damaged, cannot be applied to new scans, or is of other data.
    """
    if not runs:
        raise UserError("no run is given")
    with folders_of([Path(run) for run in runs]) as folders:
        return Model([open_trained(folder, Path(results)) for folder in folders], device)


def label_values(data: Store) -> list[int]:
    """What each class is in a label map, see ``Model.values``."""
    return [1 if len(data.classes) == 1 < len(some) else some[0] for some in _sources(data)]


def in_source_values(numbers: NDArray[np.uint8], values: Sequence[int]) -> Label:
    """Numbers of classes 0..K as the values that the source's labels have for them."""
    table: Label = np.array([0, *values], np.uint8 if max(values) <= 255 else np.uint16)
    return table[numbers]


def merged_classes(data: Store) -> dict[str, list[int]]:
    """Classes that stand for several values of the source's labels, with these values."""
    pairs = zip(data.classes, _sources(data), strict=True)
    return {name: values for name, values in pairs if len(values) > 1}


def _sources(data: Store) -> list[list[int]]:
    """The source's values of each class; where they are not recorded, its number.

    Raises UserError if what is recorded is of other classes, or no values.
    """
    sources = data.manifest.label_values or [[n + 1] for n in range(len(data.classes))]
    fine = all(some and all(1 <= value <= 65535 for value in some) for some in sources)
    if not (fine and sources and len(sources) == len(data.classes)):
        raise UserError(f"{data.folder}: its record of the data is broken (label_values)")
    return sources


def _stain_normaliser(trained: Trained) -> StainNormaliser | None:
    try:
        return stain_normaliser(trained.data, trained.run.dataset)
    except BrokenData:
        path = trained.record.folder / STAIN_REFERENCE
        raise UserError(f"{path}: is absent or damaged; {train_again(trained.run)}") from None


def _check_alike(first: Trained, other: Trained) -> None:
    """Runs of other subsets, seeds or methods are alike; of other data they are not."""
    old, new = (
        {
            "data": {key: it for key, it in one.data.form().items() if key != "dataset"},
            "dataset": one.run.dataset.model_dump(mode="json", exclude=OF_THE_CASES),
            "network": {"classes": "exclusive" if one.exclusive else "independent"},
        }
        for one in (first, other)
    )
    if changed := differences(old, new):
        raise UserError(
            f"{other.record.folder}: is no ensemble with {first.record.folder}: "
            f"their data differ ({'; '.join(changed[:3])})"
        )


def _check_crop(first: Trained) -> None:
    folder, dataset = first.record.folder, first.run.dataset
    if dataset.crop == "label":
        raise UserError(
            f"{folder}: its data set is cropped with the reference label (crop: label), "
            "which a new scan does not have; train with dataset.crop 'nonzero' or 'none' instead"
        )
    if dataset.crop_used_label:
        logger.warning(
            "%s: trained on scans that came cropped around their reference label; "
            "a new scan is taken whole, so crop it in a like way first",
            folder,
        )
