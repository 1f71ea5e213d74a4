"""MetaImage: ITK's own format, in one file (.mha) or with its voxels elsewhere (.mhd)."""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import Refused, Truncated, array_of, check_size, inflated
from ssl_methods.data.geometry import Affine, axis_codes
from ssl_methods.data.volumes.header import SAME_SIZE, Choice, Header
from ssl_methods.data.volumes.text import (
    LPS_TO_RAS,
    affine_with,
    ascii_array,
    content_of,
    files_named,
    numbers,
    sizes_of,
    whole,
)
from ssl_methods.files import file_below, read_regular

SUFFIXES = (".mha", ".mhd")
DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
UNITS_IN_MM = {"": 1.0, "?": 1.0, "mm": 1.0, "um": 1e-3, "cm": 10.0, "m": 1000.0}
# Spellings that mean one field.
SYNONYMS = {
    "elementbyteordermsb": "binarydatabyteordermsb",
    "orientation": "transformmatrix",
    "rotation": "transformmatrix",
    "position": "offset",
    "origin": "offset",
}
# The letters say where an axis comes from, where those of everyone else say where it goes.
OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
PLACE = {
    "transformmatrix": "TransformMatrix",
    "offset": "Offset",
    "centerofrotation": "CenterOfRotation",
    "anatomicalorientation": "AnatomicalOrientation",
    "elementspacing": "ElementSpacing",
    "elementsize": "ElementSize",
    "distanceunits": "DistanceUnits",
}

Fields = dict[str, str]


def read(path: Path, choice: Choice, dtype: type | None) -> tuple[NDArray[Any], Affine, Header]:
    """Voxels (*spatial, C), affine in RAS mm and header. ``dtype`` changes nothing here."""
    data = read_regular(path)
    fields, listed, start = _parsed(data)
    dimension = whole(_needed(fields, "ndims"), "NDims", 1)[0]
    shape = sizes_of(_needed(fields, "dimsize"), "DimSize", dimension)
    channels = whole(fields.get("elementnumberofchannels", "1"), "ElementNumberOfChannels", 1)[0]
    if dimension not in (2, 3, 4) or channels < 1 or (dimension == 4 and channels > 1):
        raise Refused(
            f"expected 2 or 3 axes in space and one of channels, found shape {shape} with "
            f"{channels} channel(s)"
        )
    affine, placed = _affine(fields, min(dimension, 3), dimension, choice)
    stored = _dtype(fields)
    array = _voxels(path, fields, listed, data[start:], stored, (channels, *shape))
    array = np.moveaxis(array, 0, -1)
    kept = {name: fields[name] for name in PLACE if name in fields}
    if dimension == 4:
        array = array[..., 0]
        kept = _of_three_axes(kept)
    return array, affine, Header("metaimage", array.shape[:-1], kept, placed)


def encoded(path: Path, label: NDArray[Any], affine: Affine, fields: Fields | None) -> bytes:
    """The file of a label (in its stored shape). ``fields`` are the scan's, if it was MetaImage."""
    n = label.ndim
    if fields is None:
        lps = LPS_TO_RAS @ affine
        sizes = np.linalg.norm(lps[:n, :n], axis=0)
        fields = {
            "transformmatrix": _text((lps[:n, :n] / sizes).T.ravel()),
            "offset": _text(lps[:n, 3]),
            "elementspacing": _text(sizes),
        }
    voxels = label.astype(label.dtype.newbyteorder("<")).tobytes(order="F")
    packed = zlib.compress(voxels)
    lines = {
        "ObjectType": "Image",
        "NDims": str(n),
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(packed)),
        **{PLACE[name]: text for name, text in fields.items()},
        "DimSize": " ".join(map(str, label.shape)),
        "ElementType": "MET_UCHAR" if label.dtype == np.uint8 else "MET_USHORT",
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{name} = {text}\n" for name, text in lines.items()).encode() + packed


def _text(values: Any) -> str:
    return " ".join(repr(float(value) + 0.0) for value in values)


def _parsed(data: bytes) -> tuple[Fields, list[str], int]:
    """The fields, the names of a list of data files, and where the voxels start."""
    fields: Fields = {}
    at = 0
    while "elementdatafile" not in fields:
        end = data.find(b"\n", at)
        line = data[at : end if end >= 0 else None].decode("utf-8", errors="replace").strip()
        name, equals, text = line.partition("=")
        name = name.strip().lower()
        name = SYNONYMS.get(name, name)
        if not equals and line:
            raise Refused("cannot be read, its header is no MetaImage's (a line without '=')")
        if name in fields:
            raise Refused(f"its header says '{name}' twice ({fields[name][:80]}; {text[:80]})")
        if line:
            fields[name] = text.strip()
        if end < 0:
            break
        at = end + 1
    if "elementdatafile" not in fields:
        raise Truncated("its header has no end (ElementDataFile)")
    if fields.get("objecttype", "Image").lower() != "image":
        raise Refused(f"is no image (ObjectType {fields['objecttype']})")
    listed: list[str] = []
    if fields["elementdatafile"].split()[:1] == ["LIST"]:
        listed = data[at:].decode("utf-8", errors="replace").splitlines()
    return fields, listed, at


def _needed(fields: Fields, name: str) -> str:
    if name not in fields:
        raise Refused(f"its header has no '{name}'")
    return fields[name]


def _flag(fields: Fields, name: str, otherwise: bool) -> bool:
    text = fields.get(name, str(otherwise)).lower()
    if text not in ("true", "false", "1", "0"):
        raise Refused(f"its '{name}' is '{text}'; True or False is needed")
    return text in ("true", "1")


def _dtype(fields: Fields) -> np.dtype[Any]:
    name = _needed(fields, "elementtype").upper()
    if name.endswith("_ARRAY"):
        name = name.removesuffix("_ARRAY")
    if name not in DTYPES:
        raise Refused(f"its ElementType '{name}' is none that can be read")
    for key, plain in (("slope", 1.0), ("offset", 0.0)):
        text = fields.get(f"elementtointensityfunction{key}", str(plain))
        if numbers(text, f"ElementToIntensityFunction{key.capitalize()}", 1)[0] != plain:
            raise Refused("scales its voxels (ElementToIntensityFunction), which readers ignore")
    most = _flag(fields, "binarydatabyteordermsb", False)
    return np.dtype(DTYPES[name]).newbyteorder(">" if most else "<")


def _voxels(
    path: Path,
    fields: Fields,
    listed: list[str],
    attached: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
) -> NDArray[Any]:
    parts = _parts(path, fields, listed, attached)
    total = sum(map(len, parts))
    if not _flag(fields, "binarydata", True):
        check_size(shape, dtype, total * dtype.itemsize, packed=False)
        plain = dtype.newbyteorder("=")
        return array_of(ascii_array(b" ".join(parts), plain, prod(shape)), plain, shape)
    packed = _flag(fields, "compresseddata", False)
    size = check_size(shape, dtype, total, packed)
    if size % len(parts):
        raise Refused(f"its {len(parts)} data files cannot hold equal shares of {shape}")
    share = size // len(parts)
    skip = whole(fields.get("headersize", "0"), "HeaderSize", 1)[0]
    if skip < -1:
        raise Refused(f"its HeaderSize is {skip}")
    declared = int(numbers(fields.get("compresseddatasize", "0"), "CompressedDataSize", 1)[0])
    found = []
    for part in parts:
        if packed:
            if declared and len(parts) == 1 and len(part) < declared:
                raise Truncated(f"{len(part)} packed bytes; its header declares {declared}")
            found.append(inflated(part[max(skip, 0) :], share))
        else:
            found.append(part[-share:] if skip == -1 else part[skip:])
    return array_of(found[0] if len(found) == 1 else b"".join(found), dtype, shape)


def _parts(path: Path, fields: Fields, listed: list[str], attached: bytes) -> list[bytes]:
    name = fields["elementdatafile"]
    words = name.split()
    if name.upper() == "LOCAL":
        return [attached]
    if words[:1] == ["LIST"]:
        files = [file_below(path.parent, it.strip()) for it in listed if it.strip()]
        if not files:
            raise Refused("its header lists no data file")
    elif "%" in name and len(words) == 4:
        first, last, step = whole(" ".join(words[1:4]), "ElementDataFile", 3)
        files = files_named(path.parent, words[0], first, last, step)
    else:
        files = [file_below(path.parent, name)]
    return content_of(files)


def _affine(fields: Fields, n: int, dimension: int, choice: Choice) -> tuple[Affine, bool]:
    """Voxels to RAS mm, and whether the header says where they lie."""
    unit = fields.get("distanceunits", "").lower()
    if unit not in UNITS_IN_MM:
        raise Refused(f"its DistanceUnits are '{unit}'; mm, um or cm are needed")
    sizes = _sizes(fields, dimension, choice)
    matrix = np.eye(dimension)
    if "transformmatrix" in fields:
        values = numbers(fields["transformmatrix"], "TransformMatrix", dimension**2)
        matrix = np.array(values).reshape(dimension, dimension).T  # each row is an axis's direction
        if dimension == 4 and (matrix[3, :3].any() or matrix[:3, 3].any()):
            raise Refused("its TransformMatrix mixes space with its fourth axis")
    origin = np.array(
        numbers(fields.get("offset", " ".join(["0"] * dimension)), "Offset", dimension)
    )
    scale = UNITS_IN_MM[unit]
    columns = (matrix * sizes)[:n, :n].T * scale
    affine = LPS_TO_RAS @ affine_with(columns.tolist(), (origin[:n] * scale).tolist())
    letters = fields.get("anatomicalorientation", "").upper()
    if choice == "agree" and len(letters) == n == 3 and set(letters) <= set(OPPOSITE):
        stated = "".join(OPPOSITE[letter] for letter in letters)
        if np.linalg.det(affine) and stated != (found := axis_codes(affine, n)):
            raise Refused(
                f"contradicts itself: by its TransformMatrix its axes are {found}, by its "
                f"AnatomicalOrientation ({letters}) {stated}; set dataset.header: sform to take "
                "the matrix, or correct the file"
            )
    return affine, "transformmatrix" in fields or "offset" in fields


def _sizes(fields: Fields, dimension: int, choice: Choice) -> NDArray[np.float64]:
    spacing, size = (
        np.array(numbers(fields[key], name, dimension)) if key in fields else None
        for key, name in (("elementspacing", "ElementSpacing"), ("elementsize", "ElementSize"))
    )
    if spacing is None and size is None:
        raise Refused("its header gives no voxel size (neither ElementSpacing nor ElementSize)")
    found = spacing if spacing is not None else size
    assert found is not None
    if (found <= 0).any():
        raise Refused(f"its header gives no valid voxel size ({found.tolist()})")
    if spacing is not None and size is not None and choice == "agree":
        n = min(dimension, 3)
        if (np.abs(size - spacing) > SAME_SIZE * spacing)[:n].any():
            raise Refused(
                f"contradicts itself: ElementSpacing {fields['elementspacing']}, ElementSize "
                f"{fields['elementsize']}; set dataset.header: sform to take ElementSpacing, or "
                "correct the file"
            )
    return found


def _of_three_axes(fields: Fields) -> Fields:
    """The parts of a header of four axes (the last: channels) that say where three lie."""
    kept = dict(fields)
    for name in ("offset", "centerofrotation", "elementspacing", "elementsize"):
        if name in kept:
            kept[name] = " ".join(kept[name].split()[:3])
    if "transformmatrix" in kept:
        rows = kept["transformmatrix"].split()
        kept["transformmatrix"] = " ".join(
            rows[4 * row + at] for row in range(3) for at in range(3)
        )
    return kept
