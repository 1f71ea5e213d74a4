"""The left atrium set as a few small files, to be carried to a machine without a network.

    python -m benchmarks.gpu.parts pack FOLDER PARTS [--parts 3]
    python -m benchmarks.gpu.parts unpack PARTS FOLDER

The field's files hold volumes of 8 bits that were normalised: whole numbers times a scale plus an
offset. Images come back as float32 to rounding (1e-6), labels exactly; parts may be unpacked one at
a time into the same folder.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ssl_methods.errors import UserError

LISTS = ("train.list", "test.list")


def as_bytes(image: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """Whole numbers of 8 bits, a scale and an offset that give the image.

    Raises UserError if it never had 8 bits.
    """
    values = np.unique(image).astype(np.float64)
    places = np.rint((values - values[0]) / np.diff(values).min())
    scale, offset = np.polyfit(places, values, 1)
    numbers = np.rint((image - offset) / scale)
    if numbers.min() < 0 or numbers.max() > 255:
        raise UserError("is no volume of 8 bits that was scaled; carry the files as they are")
    return numbers.astype(np.uint8), float(scale), float(offset)


def pack(folder: Path, out: Path, parts: int) -> None:
    """Write ``part-0.npz`` and so on, and the lists of cases."""
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.glob("*/mri_norm2.h5"))
    for part in range(parts):
        arrays: dict[str, NDArray] = {}
        for file in files[part::parts]:
            with h5py.File(file) as case:
                image, label = case["image"][:], case["label"][:]
            try:
                numbers, scale, offset = as_bytes(image)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None
            name = file.parent.name
            arrays[f"{name}.image"] = numbers
            arrays[f"{name}.line"] = np.array([scale, offset])
            arrays[f"{name}.label"] = np.packbits(label.astype(bool))
        np.savez_compressed(out / f"part-{part}.npz", **arrays)  # type: ignore[arg-type]
    for name in LISTS:
        shutil.copy(folder / name, out / name)


def unpack(parts: Path, out: Path) -> None:
    """Write ``<case>/mri_norm2.h5`` of every part that is there, and the lists."""
    for part in sorted(parts.glob("part-*.npz")):
        with np.load(part) as arrays:
            for name in sorted({key.rpartition(".")[0] for key in arrays}):
                scale, offset = arrays[f"{name}.line"]
                numbers = arrays[f"{name}.image"]
                label = np.unpackbits(arrays[f"{name}.label"], count=numbers.size)
                (out / name).mkdir(parents=True, exist_ok=True)
                with h5py.File(out / name / "mri_norm2.h5", "w") as case:
                    case["image"] = (numbers * scale + offset).astype(np.float32)
                    case["label"] = label.reshape(numbers.shape)
    for name in LISTS:
        if (parts / name).exists():
            shutil.copy(parts / name, out / name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", type=int, default=3, help="files to pack into (default: 3)")
    options = parser.parse_args()
    if options.action == "pack":
        pack(options.source, options.out, options.parts)
    else:
        unpack(options.source, options.out)


if __name__ == "__main__":
    main()
