"""The verb `predict`: trained runs on new scans.

In: folders of runs, or what `export` made of them (several: the mean of their probabilities), and
images, or folders of them. Out: one label map per scan, on the scan's own grid, in its format, with
the values that the labels of the training data have; on request the probabilities.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ssl_methods.config import DatasetBase
from ssl_methods.data.importers.base import load_files, raise_faults
from ssl_methods.data.importers.folder import detached
from ssl_methods.data.volumes import (
    Volume,
    label_suffix,
    read_volume,
    volume_id,
    write_label,
    write_values,
)
from ssl_methods.devices.claim import computing
from ssl_methods.errors import UserError
from ssl_methods.evaluation.archive import folders_of
from ssl_methods.evaluation.trained import Model, merged_classes, open_trained

logger = logging.getLogger(__name__)

CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")  # nnU-Net's name of one channel of a case


class NewScan(NamedTuple):
    """One case to be predicted: a file, or one file per channel; and what is written of it."""

    files: tuple[Path, ...]
    label: Path
    probabilities: tuple[Path, ...]  # one per class, or none

    @property
    def name(self) -> str:
        return str(self.files[0])


def runs_and_images(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Which paths are runs (a folder with run.yaml, a .zip), and which images or folders of them.

    Raises UserError if there are none of either.
    """
    runs = [path for path in paths if is_run(path)]
    images = [path for path in paths if not is_run(path)]
    if not runs:
        raise UserError(
            f"{paths[0]}: is no trained run (it has no run.yaml); give the folder of one, or train "
            "it first"
        )
    if not images:
        raise UserError(f"{paths[-1]}: is a run; name the images to predict after it")
    return runs, images


def is_run(path: Path) -> bool:
    return path.suffix.lower() == ".zip" or (path / "run.yaml").is_file()


def predict_files(
    runs: Sequence[Path],
    images: Sequence[Path],
    out: Path,
    results: Path,
    *,
    probabilities: bool = False,
    largest_component: bool = False,
) -> list[Path]:
    """Write ``<out>/<name><suffix>`` for each scan, in its own format (``label_suffix``).

    Each scan is prepared as the runs' data set was (turned, cropped, resampled, normalised),
    predicted, and the label brought back to the scan's grid by nearest neighbour; what a crop left
    out is 0. All are read and checked before the first is predicted.

    Args:
        runs: what `train` or `export` wrote.
        images: files, or folders of them, of the dimensions and channels of the data set.
            ``<case>_0000``, ``<case>_0001``, ... are the channels of one case, if the data set has
            several.
        out: folder for the label maps.
        results: the folder that holds ``prepared/``, for runs of earlier versions.
        probabilities: also write ``<name>_probability_<value>.nii.gz`` for each class: float32 in
            0..1, on the scan's grid.
        largest_component: keep the largest connected component of each class alone.

    Returns:
        The files written, in the order of ``images``.

    Raises:
        UserError: a run or an image is missing or broken (one line for each), two images would give
            one file, the runs are of different data, or the data set was cropped with the reference
            label, which a new scan does not have.
    """
    with folders_of(runs) as folders:
        model = Model([open_trained(folder, results) for folder in folders])
    values = model.values if probabilities else []
    scans = list(new_scans(images, model, out, values))
    check(scans, model)
    for name, merged in merged_classes(model.data).items():
        logger.warning(
            "class '%s' is merged from the values %s and written as %d; compare it with a reference"
            " that keeps them apart by 'metrics --merged'",
            name,
            ", ".join(map(str, merged)),
            model.values[model.classes.index(name)],
        )
    training = model.members[0].run.training
    written: list[Path] = []
    with (
        computing(training, f"predict with {runs[0]}") as device,
        logging_redirect_tqdm([logging.getLogger()]),
    ):
        model.place(device)
        for scan in tqdm(scans, "predict", unit="scan", disable=None):
            written += _predict(model, scan, largest_component)
    return written


def check(scans: Sequence[NewScan], model: Model) -> None:
    """Read every scan. Raises UserError with a line for each that cannot be predicted."""
    faults = []
    for scan in tqdm(scans, "check", unit="scan", disable=None):
        try:
            volume = read(scan.files, model.dataset)
            try:
                model.check(volume.image, volume.spacing, volume.affine)
            except UserError as error:
                raise UserError(f"{scan.name}: {error}") from None
        except UserError as error:
            faults.append(str(error))
    raise_faults(faults)


def _predict(model: Model, scan: NewScan, largest_component: bool) -> list[Path]:
    volume = read(scan.files, model.dataset)
    segmentation = model.segment(volume.image, volume.spacing, volume.affine)
    write_label(scan.label, segmentation.label(largest_component), volume)
    if scan.probabilities:
        for path, values in zip(scan.probabilities, segmentation.on_scan(), strict=True):
            write_values(path, values, volume)
    logger.info("%s -> %s", scan.name, scan.label)
    return [scan.label, *scan.probabilities]


def read(files: Sequence[Path], dataset: DatasetBase) -> Volume:
    """The volume of a case, its channels joined, with the header of its first file."""
    size = getattr(dataset, "pixel_size_mm", 1.0)
    first = read_volume(files[0], size, dataset.header)
    if len(files) == 1:
        return first
    return first._replace(image=load_files(tuple(files), None, size, dataset.header).image)


# ---- which files ---------------------------------------------------------------------------------


def new_scans(
    images: Sequence[Path], model: Model, out: Path, values: Sequence[int] = ()
) -> Iterator[NewScan]:
    """Each case to be predicted. Raises UserError if two share a file or one replaces its scan."""
    taken: dict[Path, Path] = {}
    for name, files in cases_of(list(image_files(images)), model.data.channels, model.dataset):
        label = out / f"{name}{label_suffix(files[0]) or '.nii.gz'}"
        probabilities = tuple(out / f"{name}_probability_{value}.nii.gz" for value in values)
        for target in (label, *probabilities):
            if target in taken:
                raise UserError(
                    f"{files[0]} and {taken[target]}: both would be written to {target}; rename one"
                )
            if target.resolve() in {file.resolve() for file in files}:
                raise UserError(
                    f"{files[0]}: the prediction would replace the scan; give another --out"
                )
            taken[target] = files[0]
        yield NewScan(files, label, probabilities)


def image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and those of the folders by name; what is no image there is named."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
        found = [file for file in files if file.is_file() and volume_id(file) is not None]
        if not found:
            raise UserError(f"{path}: holds no images; if it is a run, train it first")
        used = {*found, *(data for file in found for data in detached(file))}
        if others := [file.name for file in files if file not in used]:
            shown = ", ".join(others[:5] + ["..."] * (len(others) > 5))
            logger.warning("%s: not read, since no images: %s", path, shown)
        yield from found


def cases_of(
    files: Sequence[Path], channels: int, dataset: DatasetBase
) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Name and files of each case: a file is one, unless it is one channel of one and named so.

    Raises UserError for a case of which a channel is missing or there twice.
    """
    groups: dict[tuple[Path, str], dict[int, Path]] = {}
    alone: list[Path] = []
    faults = []
    for file in files:
        match = CHANNEL.fullmatch(volume_id(file) or "") if channels > 1 else None
        if match is None or _holds_all(file, channels, dataset):
            alone.append(file)
            continue
        group = groups.setdefault((file.parent, match["case"]), {})
        channel = int(match["channel"])
        if channel in group:
            faults.append(f"{file} and {group[channel]}: are the same channel; rename one")
        group[channel] = file
    for (folder, case), group in groups.items():
        if sorted(group) != list(range(channels)):
            there, needed = (
                ", ".join(f"{case}_{channel:04d}" for channel in some)
                for some in (sorted(group), range(channels))
            )
            faults.append(f"{folder / case}: its channels are {there}; needed: {needed}")
    raise_faults(faults)
    named: dict[Path, tuple[str, tuple[Path, ...]]] = {
        file: (volume_id(file) or file.stem, (file,)) for file in alone
    }
    for (_, case), group in groups.items():
        joined = tuple(group[channel] for channel in range(channels))
        named[min(joined, key=files.index)] = (case, joined)
    yield from (named[file] for file in files if file in named)


def _holds_all(file: Path, channels: int, dataset: DatasetBase) -> bool:
    """Does one file hold every channel? One that cannot be read is named later, alone."""
    try:
        return len(read((file,), dataset).image) == channels
    except UserError:
        return True
