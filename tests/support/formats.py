"""Every format that a user may be handed: a good file of it, and what the project reads it with."""

from __future__ import annotations

import gzip
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image

from ssl_methods.analysis import run_files
from ssl_methods.config import load_experiment, load_run, read_yaml
from ssl_methods.data.arrays import read_npy
from ssl_methods.data.dicom import read_series
from ssl_methods.data.importers import left_atrium
from ssl_methods.data.importers.decathlon import DecathlonDataset
from ssl_methods.data.importers.registry import read_source
from ssl_methods.data.prepare import prepare
from ssl_methods.data.splits import Split, make_split
from ssl_methods.data.store import Store, store_folder
from ssl_methods.data.volumes import read_label_volume, read_volume
from ssl_methods.errors import UserError
from ssl_methods.evaluation.evaluate import evaluate
from ssl_methods.evaluation.export import export
from ssl_methods.evaluation.trained import load
from ssl_methods.files import write_yaml
from ssl_methods.networks.released_weights import read_released
from ssl_methods.training.checkpoint import Checkpoint, State
from ssl_methods.training.train import train
from ssl_methods.tuning import worker
from ssl_methods.tuning.answers import best_overrides, importances, run_rows, trial_rows
from ssl_methods.tuning.study import load_studies
from support.dicom import hounsfield, write_series
from support.released_net import released_state
from support.tiny import TINY, tiny_experiment

SHAPE = (8, 7, 6)
LABEL = np.random.default_rng(0).integers(0, 3, SHAPE, dtype=np.uint8)


@dataclass(frozen=True)
class Format:
    """``make`` writes a good file (and what belongs to it) into a folder and returns its path."""

    name: str
    make: Callable[[Path], Path]
    reads: tuple[Callable[[Path], Any], ...]  # each gives what the file says, or a UserError
    # Of a file that is like the good one up to here (bytes), all else is under a checksum.
    sealed_from: Callable[[bytes], int] | None = None
    # What is changed is a part of the file: taken out of it, and packed again with a good checksum.
    unpack: Callable[[bytes], bytes] = bytes
    pack: Callable[[bytes, bytes], bytes] = lambda good, part: part
    may_crash: bool = False  # a library of this format is only ever used in processes of their own
    # PyTorch asks for the memory that a pickle declares and takes what the file has.
    may_ask: bool = False


def whole(_: bytes) -> int:
    return 0


# ---- images --------------------------------------------------------------------------------------

IMAGES = (read_volume, read_label_volume)


def nifti(name: str, folder: Path) -> Path:
    image = nibabel.Nifti1Image(LABEL, np.diag([-0.9, 0.9, 1.4, 1.0]))
    nibabel.save(image, folder / name)
    return folder / name


def nrrd_file(encoding: str, folder: Path) -> Path:
    header = {"space": "left-posterior-superior", "space directions": np.eye(3)}
    nrrd.write(str(folder / "a.nrrd"), LABEL, header | {"encoding": encoding})
    return folder / "a.nrrd"


def detached(name: str, folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABEL), str(folder / name))
    return folder / name


def metaimage(packed: bool, folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABEL), str(folder / "a.mha"), packed)
    return folder / "a.mha"


def picture(name: str, folder: Path, **options: Any) -> Path:
    Image.fromarray(LABEL[..., 0] if "grey" in name else np.stack([LABEL[..., 0]] * 3, -1)).save(
        folder / name, **options
    )
    return folder / name


def npy(folder: Path) -> Path:
    np.save(folder / "a.npy", LABEL)
    return folder / "a.npy"


def hdf5(folder: Path) -> Path:
    with h5py.File(folder / "mri_norm2.h5", "w") as file:
        file["image"] = LABEL.astype(np.float32)
        file.create_dataset("label", data=LABEL, chunks=True, compression="gzip")
    return folder / "mri_norm2.h5"


def dicom(folder: Path) -> Path:
    write_series(folder, hounsfield()[..., :3])
    return sorted(folder.glob("*.dcm"))[0]


def after(mark: bytes, content: bytes) -> int:
    return content.index(mark) + len(mark)


# ---- settings and lists --------------------------------------------------------------------------


def experiment(folder: Path) -> Path:
    study = {"methods": {"dtc": {"search": ["k"]}}, "trials": 5, "validation_cases": 2}
    study |= {"budget": 2}
    more = {"budgets": [2, 0.5], "subsets": 2, "studies": {"s": study}}
    write_yaml(folder / "experiment.yaml", TINY | more)
    return folder / "experiment.yaml"


def read_experiment(path: Path) -> Any:
    declared = load_experiment(path)
    return declared, next(iter(declared.runs())), load_studies(path)


def dataset_json(nnunet: bool, folder: Path) -> Path:
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir()
        for case in "abc":
            nifti(f"{case}{'_0000' * (nnunet and part == 'imagesTr')}.nii.gz", folder / part)
    listed = [{"image": f"imagesTr/{c}.nii.gz", "label": f"labelsTr/{c}.nii.gz"} for c in "abc"]
    said: dict[str, Any] = {"modality": {"0": "MRI"}, "labels": {"0": "no", "1": "a", "2": "b"}}
    said |= {"training": listed, "test": []}
    if nnunet:
        said = {"channel_names": {"0": "MRI"}, "labels": {"no": 0, "a": 1, "b": [2]}}
        said |= {"file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(said, indent=1))
    return folder / "dataset.json"


def read_decathlon(path: Path) -> Any:
    source = read_source(
        DecathlonDataset(
            name=path.parent.name, importer="decathlon", path=path.parent, test_cases=1
        )
    )
    return source.classes, [(case.id, case.split) for case in source.cases]


def store() -> Path:
    return store_folder(tiny_experiment().dataset, trained()[0])


def manifest(folder: Path) -> Path:
    shutil.copy(store() / "manifest.json", folder)
    return folder / "manifest.json"


def read_manifest(path: Path) -> Any:
    there = Store.open(path.parent)
    return there.manifest, make_split(there, 2, 0)


def split(folder: Path) -> Path:
    make_split(Store.open(store()), 2, 0).write(folder / "split.json")
    return folder / "split.json"


# ---- runs ----------------------------------------------------------------------------------------


@cache
def trained() -> tuple[Path, Path]:
    """A results folder, and in it the folder of a run that is trained and measured."""
    results = Path(mkdtemp(prefix="fuzz-"))
    declared = tiny_experiment(methods=["supervised"])
    run = next(iter(declared.runs()))
    prepare(declared.dataset, results)
    train(run, results, results / run.folder)
    evaluate(results / run.folder, results)
    return results, results / run.folder


def of_the_run(name: str, folder: Path) -> Path:
    shutil.copytree(trained()[1], folder, dirs_exist_ok=True)
    return folder / name


def read_run(path: Path) -> Any:
    return load(path.parent).members[0].method.state_dict()


def exported(folder: Path) -> Path:
    export([trained()[1]], trained()[0], folder / "run.zip")
    return folder / "run.zip"


def read_exported(path: Path) -> Any:
    return load(path).members[0].method.state_dict()


def checkpoint(folder: Path) -> Path:
    layer = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(layer.parameters(), momentum=0.9)
    layer(torch.ones(4)).sum().backward()
    optimizer.step()
    state = State(5, [{"loss": 0.5}], 1.0, 2.0, 5, 3.0, [2])
    Checkpoint(folder, "key", torch.device("cpu")).save(layer, [optimizer], state)
    return folder / "checkpoint.pt"


def read_checkpoint(path: Path) -> Any:
    """One that is passed over is named in the log."""
    layer = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(layer.parameters(), momentum=0.9)
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ssl_methods.training.checkpoint")
    log.addHandler(handler)
    try:
        state = Checkpoint(path.parent, "key", torch.device("cpu")).restore(layer, [optimizer])
    finally:
        log.removeHandler(handler)
    if state.iteration == 0:
        raise UserError("\n".join(said))
    return layer.state_dict(), optimizer.state_dict(), vars(state)


def released(legacy: bool, folder: Path) -> Path:
    state = released_state("dtc")
    torch.save(state, folder / "a.pth", _use_new_zipfile_serialization=not legacy)
    return folder / "a.pth"


def member(name: str, archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return file.read(next(it for it in file.namelist() if it.endswith(name)))


def with_member(name: str, good: bytes, part: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(content, "w") as new:
        for info in old.infolist():
            new.writestr(info, part if info.filename.endswith(name) else old.read(info))
    return content.getvalue()


def read_slices(path: Path) -> Any:
    case = Store.open(store()).ids("test")[0]
    run_files.cases_with_stacks(path)
    return run_files.read_slice(path, case), run_files.read_stack(path, case)


# ---- studies -------------------------------------------------------------------------------------


@cache
def study() -> Any:
    said = {"methods": {"dtc": {"search": ["k", "weight"]}}, "trials": 5, "validation_cases": 2}
    said |= {"workers": 1, "fresh_seeds": []}
    return load_studies(TINY | {"studies": {"s": said}})[0]


def journal(folder: Path) -> Path:
    """Of a finished study, whose trials were not trained."""

    def run_setting(study, row, settings, seeds, *_, look=None, **__):
        return {(100, 0): 1 / (1 + settings["k"] / 1000)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "run_setting", run_setting)
        worker.work(study(), folder)
    return folder / study().folder / "journal.log"


def read_journal(path: Path) -> Any:
    queues = worker.open_study(study(), path.parents[3])
    for queue in queues.values():
        queue.refill()
    rows = [(trial_rows(study(), queue), run_rows(queue)) for queue in queues.values()]
    return str(rows), best_overrides(study(), queues), str(importances(queues))


NII, GZ = "a.nii", "a.nii.gz"
FORMATS = [
    Format("nifti", partial(nifti, NII), IMAGES),
    Format("nifti-gzip", partial(nifti, GZ), IMAGES, whole),
    Format(
        "nifti-within-gzip", partial(nifti, GZ), IMAGES, None, gzip.decompress,
        lambda _, part: gzip.compress(part, 1),
    ),
    Format("nrrd-raw", partial(nrrd_file, "raw"), IMAGES),
    Format("nrrd-ascii", partial(nrrd_file, "ascii"), IMAGES),
    Format("nrrd-gzip", partial(nrrd_file, "gzip"), IMAGES, partial(after, b"\n\n")),
    Format("nrrd-bzip2", partial(nrrd_file, "bzip2"), IMAGES, partial(after, b"\n\n")),
    Format("nrrd-detached", partial(detached, "a.nhdr"), IMAGES),
    Format("metaimage", partial(metaimage, False), IMAGES),
    Format("metaimage-zlib", partial(metaimage, True), IMAGES, partial(after, b"LOCAL\n")),
    Format("metaimage-detached", partial(detached, "a.mhd"), IMAGES),
    Format("png", partial(picture, "grey.png"), IMAGES, whole),
    Format("png-colours", partial(picture, "a.png", dpi=(72, 72)), IMAGES, whole),
    Format("tiff", partial(picture, "grey.tif"), IMAGES),
    Format("tiff-colours", partial(picture, "a.tif", compression="tiff_lzw"), IMAGES),
    Format("tiff-deflate", partial(picture, "a.tif", compression="tiff_adobe_deflate"), IMAGES),
    Format("jpeg", partial(picture, "a.jpg"), (read_volume,)),
    Format("npy", npy, (read_npy,)),
    Format("hdf5", hdf5, (left_atrium.load,), may_crash=True),
    Format("dicom", dicom, (lambda path: read_series(path.parent),)),
    Format("experiment", experiment, (read_experiment,)),
    Format("dataset.json", partial(dataset_json, False), (read_decathlon,)),
    Format("dataset.json-nnunet", partial(dataset_json, True), (read_decathlon,)),
    Format("manifest", manifest, (read_manifest,)),
    Format("split", split, (Split.read, run_files.read_split)),
    Format(
        "run.yaml", partial(of_the_run, "run.yaml"),
        (load_run, run_files.read_run_record, read_run),
    ),
    Format("measured.yaml", partial(of_the_run, "measured.yaml"), (read_yaml,)),
    Format("model", partial(of_the_run, "model.pt"), (read_run,), whole),
    Format("checkpoint", checkpoint, (read_checkpoint,), whole),
    Format("released", partial(released, False), (read_released,), whole),
    Format("released-legacy", partial(released, True), (read_released,), may_ask=True),
    Format(
        "released-pickle", partial(released, False), (read_released,), None,
        partial(member, "data.pkl"), partial(with_member, "data.pkl"),
    ),
    Format("exported", exported, (read_exported,), whole),
    Format(
        "exported-record", exported, (read_exported,), None,
        partial(member, "run.yaml"), partial(with_member, "run.yaml"),
    ),
    Format("cases.csv", partial(of_the_run, "cases.csv"), (run_files.read_cases_of_run,)),
    Format("history.csv", partial(of_the_run, "history.csv"), (run_files.read_history,)),
    Format("cost.json", partial(of_the_run, "cost.json"), (run_files.read_cost,)),
    Format(
        "provenance.json", partial(of_the_run, "provenance.json"), (run_files.read_provenance,)
    ),
    Format("slices", partial(of_the_run, "slices.npz"), (read_slices,), whole),
    Format(
        "slices-array", partial(of_the_run, "slices.npz"), (read_slices,), None,
        partial(member, ".slices_image.npy"), partial(with_member, ".slices_image.npy"),
    ),
    Format("journal", journal, (read_journal,)),
]  # fmt: skip
