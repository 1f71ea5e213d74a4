"""NRRD: teem's "nearly raw raster data", attached (.nrrd) or with its voxels elsewhere (.nhdr).

http://teem.sourceforge.net/nrrd/format.html says what the fields mean.
"""

from __future__ import annotations

import gzip
import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import (
    Refused,
    Truncated,
    array_of,
    bunzipped,
    check_size,
    gunzipped,
)
from ssl_methods.data.geometry import Affine
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

SUFFIXES = (".nrrd", ".nhdr")
TO_RAS = {
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
}
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int",
           "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
DTYPES = {name: dtype for dtype, names in TYPES.items() for name in names}
UNITS_IN_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "millimetre": 1.0, "millimetres": 1.0,
    "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "microns": 1e-3,
    "micrometer": 1e-3, "micrometers": 1e-3, "micrometre": 1e-3, "micrometres": 1e-3,
    "nm": 1e-6, "nanometer": 1e-6, "nanometers": 1e-6,
    "cm": 10.0, "centimeter": 10.0, "centimeters": 10.0, "centimetre": 10.0, "centimetres": 10.0,
    "m": 1000.0, "meter": 1000.0, "meters": 1000.0, "metre": 1000.0, "metres": 1000.0,
    "in": 25.4, "inch": 25.4, "inches": 25.4,
    "": 1.0, "???": 1.0,
}  # fmt: skip
# Spellings that mean one field.
SYNONYMS = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}
PER_AXIS = ("space directions", "spacings", "units", "axis mins", "axis maxs")
PLACE = ("space", "space dimension", "space origin", "space units")

Fields = dict[str, str]


def read(path: Path, choice: Choice, dtype: type | None) -> tuple[NDArray[Any], Affine, Header]:
    """Voxels (*spatial, C), affine in RAS mm and header. ``dtype`` changes nothing here."""
    data = read_regular(path)
    fields, listed, start = _parsed(data)
    dimension = whole(_needed(fields, "dimension"), "dimension", 1)[0]
    shape = sizes_of(_needed(fields, "sizes"), "sizes", dimension)
    stored = _dtype(fields)
    axes = _axes(fields, dimension, choice)
    channel = [axis for axis, column in enumerate(axes) if column is None]
    if dimension - len(channel) not in (2, 3) or len(channel) > 1:
        raise Refused(
            f"expected 2 or 3 axes in space and one of channels, found shape {shape}, "
            f"{len(channel)} of them without a direction in space"
        )
    affine = _affine(fields, [axis for axis in axes if axis is not None])
    array = _voxels(path, fields, listed, data[start:], stored, shape)
    array = np.moveaxis(array, channel[0], -1) if channel else array[..., np.newaxis]
    spatial = [axis for axis in range(dimension) if axis not in channel]
    kept = {name: text for name, text in fields.items() if name in PLACE}
    for name in PER_AXIS:
        if name in fields:
            words = _split(fields[name])
            kept[name] = " ".join(words[axis] for axis in spatial)
    placed = "space directions" in fields
    return array, affine, Header("nrrd", array.shape[:-1], kept, placed)


def encoded(path: Path, label: NDArray[Any], affine: Affine, fields: Fields | None) -> bytes:
    """The file of a label (in its stored shape). ``fields`` are the scan's, if that was NRRD."""
    n = label.ndim
    if fields is None:
        lps = LPS_TO_RAS @ affine
        flat = n == 2 and not lps[2, [0, 1, 3]].any()  # as ITK has it in 2D
        space = 2 if flat else 3
        fields = {
            **({"space dimension": "2"} if flat else {"space": "left-posterior-superior"}),
            "space directions": " ".join(_vector(lps[:space, axis]) for axis in range(n)),
            "space origin": _vector(lps[:space, 3]),
        }
    lines = {
        "type": "uint8" if label.dtype == np.uint8 else "uint16",
        "dimension": str(n),
        **{name: fields[name] for name in PLACE[:2] if name in fields},
        "sizes": " ".join(map(str, label.shape)),
        **{name: fields[name] for name in PER_AXIS if name in fields},
        "kinds": " ".join(["domain"] * n),
        "endian": "little",
        "encoding": "gzip",
        **{name: fields[name] for name in PLACE[2:] if name in fields},
    }
    head = "NRRD0005\n" + "".join(f"{name}: {text}\n" for name, text in lines.items()) + "\n"
    voxels = label.astype(label.dtype.newbyteorder("<")).tobytes(order="F")
    return head.encode() + gzip.compress(voxels, mtime=0)


def _vector(values: Any) -> str:
    return "(" + ",".join(repr(float(value) + 0.0) for value in values) + ")"


def _parsed(data: bytes) -> tuple[Fields, list[str], int]:
    """The fields, the names of a list of data files, and where the voxels start."""
    end = re.search(rb"\r?\n\r?\n", data)
    head = data[: end.start()] if end else data
    lines = head.decode("utf-8", errors="replace").splitlines()
    if not lines or not re.fullmatch(r"NRRD000\d", lines[0].strip()):
        raise Refused("cannot be read, it is no NRRD file (its first line is not NRRD000x)")
    fields: Fields = {}
    listed: list[str] = []
    for line in lines[1:]:
        if fields.get("data file", "").upper().startswith("LIST"):
            listed.append(line)
            continue
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, text = line.partition(":")
        name = SYNONYMS.get(name.strip().lower(), name.strip().lower())
        if not colon:
            raise Refused(f"its header has a line that is no field ({line[:80]})")
        if name in fields:
            raise Refused(f"its header says '{name}' twice ({fields[name][:80]}; {text[:80]})")
        fields[name] = text.strip()
    if end is None and "data file" not in fields:
        raise Truncated("its header has no end")
    return fields, listed, end.end() if end else len(data)


def _needed(fields: Fields, name: str) -> str:
    if name not in fields:
        raise Refused(f"its header has no '{name}'")
    return fields[name]


def _dtype(fields: Fields) -> np.dtype[Any]:
    name = _needed(fields, "type").lower()
    if name not in DTYPES:
        raise Refused(f"its type '{name}' is none that can be read")
    dtype = np.dtype(DTYPES[name])
    if dtype.itemsize == 1 or _encoding(fields) in ("ascii", "hex"):
        return dtype
    endian = _needed(fields, "endian").lower()
    if endian not in ("little", "big"):
        raise Refused(f"its endian is '{endian}'; little or big is needed")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _encoding(fields: Fields) -> str:
    name = _needed(fields, "encoding").lower()
    return {"gz": "gzip", "bz2": "bzip2", "txt": "ascii", "text": "ascii"}.get(name, name)


def _voxels(
    path: Path,
    fields: Fields,
    listed: list[str],
    attached: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
) -> NDArray[Any]:
    parts = _parts(path, fields, listed, attached)
    encoding = _encoding(fields)
    packed = encoding in ("gzip", "bzip2")
    total = sum(map(len, parts))
    if encoding == "ascii":
        check_size(shape, dtype, total * dtype.itemsize, packed=False)
        return array_of(ascii_array(b" ".join(parts), dtype, prod(shape)), dtype, shape)
    # bzip2 packs runs of one value harder than deflate does
    stored = total * 1000 if encoding == "bzip2" else total
    size = check_size(shape, dtype, stored, packed)
    if size % len(parts):
        raise Refused(f"its {len(parts)} data files cannot hold equal shares of {shape}")
    lines, skip = (whole(fields.get(name, "0"), name, 1)[0] for name in ("line skip", "byte skip"))
    if lines < 0 or skip < -1 or (skip == -1 and encoding != "raw"):
        raise Refused(f"its line skip is {lines} and its byte skip {skip}")
    share = size // len(parts)
    found = [_decoded(part, encoding, lines, skip, share) for part in parts]
    return array_of(found[0] if len(found) == 1 else b"".join(found), dtype, shape)


def _decoded(part: bytes, encoding: str, lines: int, skip: int, size: int) -> bytes:
    """The bytes of voxels in one file, without what is to be skipped before them."""
    for _ in range(lines):
        _, end, part = part.partition(b"\n")
        if not end:
            raise Truncated("fewer lines than its line skip")
    if encoding == "raw":
        part = part[-size:] if skip == -1 else part[skip:]
    elif encoding == "gzip":
        part = gunzipped(part, size + skip)[skip:]
    elif encoding == "bzip2":
        part = bunzipped(part, size + skip)[skip:]
    elif encoding == "hex":
        try:
            part = bytes.fromhex(part.decode("ascii"))
        except ValueError:
            raise Refused("holds voxels that are not in hexadecimal") from None
    else:
        raise Refused(f"its encoding '{encoding}' is none that can be read")
    return part


def _parts(path: Path, fields: Fields, listed: list[str], attached: bytes) -> list[bytes]:
    """The content of the data files, or what follows the header."""
    if "data file" not in fields:
        if path.name.lower().endswith(".nhdr") and not attached:
            raise Refused("its header names no data file")
        return [attached]
    words = fields["data file"].split()
    if words[:1] and words[0].upper() == "LIST":
        files = [file_below(path.parent, name.strip()) for name in listed if name.strip()]
        if not files:
            raise Refused("its header lists no data file")
    elif "%" in fields["data file"] and len(words) in (4, 5):
        first, last, step = whole(" ".join(words[1:4]), "data file", 3)
        files = files_named(path.parent, words[0], first, last, step)
    else:
        files = [file_below(path.parent, fields["data file"])]
    return content_of(files)


def _split(text: str) -> list[str]:
    """The words of a field of one entry per axis: vectors, quoted strings, numbers, 'none'."""
    return re.findall(r'\([^)]*\)|"[^"]*"|[^\s()"]+', text)


def _axes(fields: Fields, dimension: int, choice: Choice) -> list[list[float] | None]:
    """One vector in space (mm) per axis; None for the axis of channels."""
    spacings: list[float | None] | None = None
    if "spacings" in fields:
        words = _split(fields["spacings"])
        if len(words) != dimension:
            raise Refused(f"its 'spacings' has {len(words)} entries for {dimension} axes")
        units = _split(fields.get("units", "")) or ['"mm"'] * dimension
        if len(units) != dimension:
            raise Refused(f"its 'units' has {len(units)} entries for {dimension} axes")
        spacings = [
            None
            if word.lower() in ("nan", "none")
            else numbers(word, "spacings", 1)[0] * _mm(unit, "units")
            for word, unit in zip(words, units, strict=True)
        ]
    if "space directions" not in fields:
        if spacings is None:
            raise Refused(
                "cannot be read, the header has neither 'space directions' nor 'spacings'"
            )
        if not all(size is None or size > 0 for size in spacings):
            raise Refused(f"its header gives no valid voxel size (spacings {fields['spacings']})")
        directions = iter(np.eye(max(dimension, 3)))
        return [None if size is None else list(size * next(directions)[:3]) for size in spacings]
    words = _split(fields["space directions"])
    if len(words) != dimension:
        raise Refused(
            f"its 'space directions' has {len(words)} entries for {dimension} axes; one vector in "
            "brackets, or none, per axis is needed"
        )
    scale = _space_units(fields)
    axes: list[list[float] | None] = []
    for word in words:
        inner = word.strip("()").replace(",", " ")
        if word.lower() == "none" or {it.lower() for it in inner.split()} == {"nan"}:
            axes.append(None)
            continue
        vector = numbers(inner, "space directions")
        if len(vector) not in (2, 3):
            raise Refused(f"its 'space directions' holds {word}; 2 or 3 numbers are needed")
        axes.append([size * unit for size, unit in zip(vector, scale, strict=False)])
    if spacings is not None and choice == "agree":
        _check_spacings(axes, spacings)
    return axes


def _check_spacings(axes: list[list[float] | None], spacings: list[float | None]) -> None:
    for axis, size in zip(axes, spacings, strict=True):
        if axis is None or size is None:
            continue
        length = float(np.linalg.norm(axis))
        if abs(length - abs(size)) > SAME_SIZE * length:
            raise Refused(
                f"contradicts itself: its 'space directions' give voxels of {length:.6g} mm, its "
                f"'spacings' of {size:.6g} mm; set dataset.header: sform to take the directions, "
                "or correct the file"
            )


def _mm(word: str, name: str) -> float:
    """mm per unit. Raises Refused for one that is no known length."""
    unit = word.strip('"').strip()
    if unit.lower() not in UNITS_IN_MM:
        known = ", ".join(sorted(it for it in UNITS_IN_MM if it.isalpha()))
        raise Refused(f"its '{name}' are '{unit}', which is no known length ({known})")
    return UNITS_IN_MM[unit.lower()]


def _space_units(fields: Fields) -> list[float]:
    """mm per unit of each axis of space; without the field mm."""
    words = _split(fields.get("space units", ""))
    return [_mm(word, "space units") for word in words] or [1.0, 1.0, 1.0]


def _affine(fields: Fields, columns: list[list[float]]) -> Affine:
    space = fields.get("space", "left-posterior-superior").lower()
    if space not in TO_RAS:
        raise Refused(
            f"its space '{space}' says nothing of the patient; left-posterior-superior, "
            "left-anterior-superior and right-anterior-superior can be read"
        )
    origin: list[float] = []
    if "space origin" in fields:
        text = fields["space origin"].strip().strip("()").replace(",", " ")
        origin = numbers(text, "space origin")
        if len(origin) not in (2, 3):
            raise Refused(f"its 'space origin' is {fields['space origin']}; 3 numbers are needed")
        origin = [at * unit for at, unit in zip(origin, _space_units(fields), strict=False)]
    return TO_RAS[space] @ affine_with(columns, origin)
