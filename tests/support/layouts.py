"""Data sets in the exact layouts that published code reads, of small generated scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import SimpleITK

SHAPE = (6, 18, 20)  # as stored


def noise(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def box(values: int = 1, shape: tuple[int, ...] = SHAPE, dtype: Any = np.uint8) -> np.ndarray:
    """Boxes of the values 1..n, one beside the other along the last axis."""
    label = np.zeros(shape, dtype)
    for value in range(1, values + 1):
        label[1:4, 4:10, 5 * value - 4 : 5 * value] = value
    return label


def write_h5(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip")


def write_list(path: Path, ids: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(ids) + "\n")


def acdc(folder: Path, train: int = 3, validation: int = 1, test: int = 2) -> dict[str, list[str]]:
    """Patients from 101 on, two frames each; volumes of min-max, gzip, and slices of the first."""
    found, number = {}, 101
    for name, count in (("train", train), ("val", validation), ("test", test)):
        patients = range(number, number + count)
        found[name] = [f"patient{it:03d}_frame0{frame}" for it in patients for frame in (1, 2)]
        number += count
        write_list(folder / f"{name}.list", found[name])
    for seed, case in enumerate(case for cases in found.values() for case in cases):
        image, label = noise(seed), box(3)
        image += 0.5 * (label > 0)
        image = (image - image.min()) / (image.max() - image.min())
        write_h5(folder / "data" / f"{case}.h5", image=image, label=label)
    slices = [f"{found['train'][0]}_slice_{it}" for it in (2, 1)]
    write_list(folder / "train_slices.list", slices)
    for name in slices:
        write_h5(folder / "data/slices" / f"{name}.h5", image=noise(0)[0], label=box(3)[0])
    return found


def brats(folder: Path) -> dict[str, list[str]]:
    names = ("HGG_0", "HGG_1", "HGG_2", "HGG_3", "HGG_4")
    ids = [f"BraTS19_{it}_1" for it in names]
    found = {"train": ids[:3], "val": ids[3:4], "test": ids[4:]}
    for name, cases in found.items():
        write_list(folder / f"{name}.txt", [f"{case},HGG" for case in cases])
    for seed, case in enumerate(ids):
        image = (noise(seed) - 0.5) * 3
        write_h5(folder / "data" / f"{case}.h5", image=image, label=box(dtype=np.int16))
    return found


def pancreas_mc_net(folder: Path) -> dict[str, list[str]]:
    found = {"train": ["0057", "0018", "0062"], "test": ["0050", "0059"]}
    for name, numbers in found.items():
        write_list(folder / f"{name}.list", [f"image{it}" for it in numbers])
        for it in numbers:
            path = folder / "Pancreas_h5" / f"image{it}_norm.h5"
            write_h5(path, image=noise(int(it)), label=box(dtype=np.float32))
    return found


def pancreas_coranet(folder: Path) -> dict[str, list[str]]:
    found = {"train_lab": ["0001", "0002"], "train_unlab": ["0013", "0014"], "test": ["0064"]}
    for name, numbers in found.items():
        write_list(folder / f"{name}.txt", [f"{it}.h5" for it in numbers])
        for it in numbers:
            write_h5(folder / "h5" / f"{it}.h5", image=noise(int(it)), label=box())
    return found


def organs(folder: Path, lists: str = "splits") -> dict[str, list[str]]:
    """AMOS as DHC has it: the lists of 20 % hold a case of eval.txt, those of 5 % none."""
    found = {
        "train": ["amos_0001", "amos_0004", "amos_0005"],
        "eval": ["amos_0027"],
        "test": ["amos_0008"],
        "labeled_5p": ["amos_0004"],
        "unlabeled_5p": ["amos_0001", "amos_0005"],
        "labeled_20p": ["amos_0027", "amos_0001"],
        "unlabeled_20p": ["amos_0005"],
    }
    for name, ids in found.items():
        write_list(folder / lists / f"{name}.txt", ids)
    (folder / "npy").mkdir()
    for case in (*found["train"], *found["eval"], *found["test"]):
        image = noise(int(case[-4:])) * 1000 - 500
        np.save(folder / "npy" / f"{case}_image.npy", image)
        np.save(folder / "npy" / f"{case}_label.npy", box(3, dtype=np.int8))
    return found


def promise12(folder: Path, numbers: Iterable[int] = range(50)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for name, array in (("", noise(number)), ("_segmentation", box(dtype=np.int8))):
            image = SimpleITK.GetImageFromArray(array)
            image.SetSpacing((0.4, 0.4, 3.3))
            SimpleITK.WriteImage(image, str(folder / f"Case{number:02d}{name}.mhd"))
