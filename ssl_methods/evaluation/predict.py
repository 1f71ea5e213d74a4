"""The verb `predict`: a trained run on new scans.

In: a run's folder, the prepared store it was trained on (its manifest, the stain reference), NIfTI,
NRRD or picture files. Out: one label map per scan, on the scan's own grid, with the values 1..K of
the store's classes; in the scan's format (of .nhdr .nrrd, of .mhd .mha, of JPEG PNG).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from ssl_methods import methods
from ssl_methods.config import Run, load_run
from ssl_methods.data.geometry import restore_label
from ssl_methods.data.preprocessing import prepare_image
from ssl_methods.data.stains import StainNormaliser, stain_normaliser
from ssl_methods.data.store import Store, store_folder
from ssl_methods.data.volumes import (
    Volume,
    label_suffix,
    read_volume,
    volume_id,
    write_label,
)
from ssl_methods.devices import claim, deterministic, place
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import Label, predict_labels, window_size
from ssl_methods.methods.base import Method

logger = logging.getLogger(__name__)


def predict_files(run_folder: Path, images: Sequence[Path], out: Path, results: Path) -> list[Path]:
    """Write ``<out>/<name><suffix>`` for each image, in its own format (``label_suffix``).

    Of a picture it is a grey one of class numbers.

    Each scan is prepared as the run's data set was (cropped, resampled, normalised), predicted, and
    the label brought back to the scan's grid by nearest neighbour; what a crop left out is 0.

    Args:
        run_folder: what `train` wrote.
        images: files of the same channels and dimensions as the data set.
        out: folder for the label maps.
        results: the folder that holds ``prepared/``.

    Returns:
        The files written, in the order of ``images``.

    Raises:
        UserError: the run or an image is missing or broken, two images would give one file, or the
            data set was cropped with the reference label, which a new scan does not have.
    """
    run = load_run(run_folder / "run.yaml")
    _check_crop(run_folder, run)
    targets = _targets(images, out)
    store = Store.open(store_folder(run.dataset, results))
    method = methods.restore(run_folder, store)
    stain = stain_normaliser(store, run.dataset)
    torch.set_num_threads(run.training.cpu_threads)
    deterministic(run.training.deterministic)
    with claim(
        run.training.device, run.training.runs_per_gpu, f"predict with {run_folder}"
    ) as device:
        place(method, run.training.patch_size, device)
        for path, target in zip(images, targets, strict=True):
            scan = _read(path, store, run)
            try:
                label = predict_scan(method, scan, run, len(store.classes), device, stain)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
            write_label(target, label, scan)
            logger.info("%s -> %s", path, target)
    return targets


def predict_scan(
    method: Method,
    scan: Volume,
    run: Run,
    classes: int,
    device: torch.device,
    stain: StainNormaliser | None = None,
) -> Label:
    """The label map (*spatial) of one scan on its own grid, uint8, values 0..classes."""
    image, _, affine = prepare_image(scan.image, scan.spacing, scan.affine, run.dataset, stain)
    window = window_size(method, run)
    label = predict_labels(method.predict, image, window, classes, run.evaluation, device)
    return restore_label(label, affine, scan.image.shape[1:], scan.affine)


def _check_crop(run_folder: Path, run: Run) -> None:
    if run.dataset.crop == "label":
        raise UserError(
            f"{run_folder}: its data set is cropped with the reference label (crop: label), "
            "which a new scan does not have; train with dataset.crop 'nonzero' or 'none' instead"
        )
    if run.dataset.crop_used_label:
        logger.warning(
            "%s: trained on scans that came cropped around their reference label; "
            "a new scan is taken whole, so crop it in a like way first",
            run_folder,
        )


def _targets(images: Sequence[Path], out: Path) -> list[Path]:
    """Where each label map goes. UserError if two share a file or one replaces its scan."""
    targets: dict[Path, Path] = {}
    for path in images:
        target = out / f"{volume_id(path) or path.stem}{label_suffix(path) or '.nii.gz'}"
        if target in targets:
            raise UserError(
                f"{path} and {targets[target]}: both would be written to {target}; rename one"
            )
        if target.resolve() == path.resolve():
            raise UserError(f"{path}: the prediction would replace the scan; give another --out")
        targets[target] = path
    return list(targets)


def _read(path: Path, store: Store, run: Run) -> Volume:
    scan = read_volume(path, getattr(run.dataset, "pixel_size_mm", 1.0), run.dataset.header)
    found, wanted = (scan.image.ndim - 1, len(scan.image)), (store.dimensions, store.channels)
    if found != wanted:
        raise UserError(
            f"{path}: is {found[0]}D with {found[1]} channel(s); the run was trained on "
            f"{wanted[0]}D with {wanted[1]}"
        )
    return scan
