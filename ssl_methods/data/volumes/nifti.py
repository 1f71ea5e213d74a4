"""NIfTI: the header's two placements, voxels in RGB, and labels that keep a scan's header."""

from __future__ import annotations

import gzip
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import (
    Refused,
    Truncated,
    check_size,
    gunzipped,
    gunzipped_start,
)
from ssl_methods.data.geometry import Affine, grid_difference
from ssl_methods.data.volumes.header import Choice, Header, check_agreement
from ssl_methods.files import read_regular

logger = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii")
UNITS_IN_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, m, mm, um
DTYPES: dict[int, Any] = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8", 128: (np.uint8, 3), 2304: (np.uint8, 4),
}  # fmt: skip
COMPLEX = {32, 1792, 2048}
LONGEST_HEADER = 540


def read(path: Path, choice: Choice, dtype: type | None) -> tuple[NDArray[Any], Affine, Header]:
    """Voxels (*spatial, C), affine in RAS mm and header. ``dtype`` None keeps the file's own."""
    from nibabel.arrayproxy import ArrayProxy

    data = read_regular(path)
    packed = data[:2] == b"\x1f\x8b"
    start = gunzipped_start(data, LONGEST_HEADER) if packed else data[:LONGEST_HEADER]
    header = _header(start)
    shape, stored = _shape(header), _dtype(header)
    offset = _offset(header)
    size = check_size(shape, stored, len(data), packed)
    content = gunzipped(data, offset + size) if packed else data
    if len(content) < offset + size:
        raise Truncated(f"{len(content)} bytes; its header declares {offset + size}")
    if len(content) > offset + size:
        raise Refused(
            f"is damaged: holds {len(content)} bytes; its header declares {offset + size}"
        )
    spatial, rest = shape[:3], shape[3:]
    more = [length for length in rest if length > 1]
    if len(shape) < 2 or len(more) + (stored.shape != ()) > 1:
        raise Refused(f"expected 2 or 3 axes in space and one of channels, found shape {shape}")
    if stored.shape:  # red, green, blue (and alpha) of a voxel stand side by side
        if dtype is None:
            raise Refused("is a picture in colours (RGB), which is no label; save class numbers")
        logger.info("%s: is in colours, read as %d channels", path, stored.shape[0])
        values = np.frombuffer(content, np.uint8, offset=offset)
        array = np.moveaxis(values.reshape((-1, *spatial), order="F"), 0, -1)
    else:
        slope, inter = header.get_slope_inter()
        scaling = (1.0, 0.0) if slope is None else (slope, inter or 0.0)
        proxy = ArrayProxy(io.BytesIO(content), (shape, stored, offset, *scaling), mmap=False)
        array = np.asarray(proxy, dtype=dtype)
        array = array.reshape((*spatial, *(more or [1])), order="F")
    affine, placed = _affine(header, spatial, choice)
    kept = spatial + tuple(length for length in rest if length == 1)
    return array, affine, Header("nifti", kept, header.binaryblock, placed)


def encoded(path: Path, label: NDArray[Any], affine: Affine, header: bytes | None) -> bytes:
    """The file of a label (in its stored shape). ``header`` is the scan's, if that was NIfTI."""
    from nibabel.nifti1 import Nifti1Header

    if header is not None:
        # As nibabel's default, but for what says where the voxels lie.
        old = _header(header).as_byteswapped("<")
        new: Any = type(old)(endianness="<")
        for name in PLACE:
            new[name] = old[name]
    else:
        new = Nifti1Header(endianness="<")
        new.set_xyzt_units("mm")
    new.set_data_dtype(label.dtype)
    new.set_data_shape(label.shape)
    if header is not None:
        new["pixdim"] = old["pixdim"]
    else:
        new.set_qform(affine, code=1, strip_shears=True)
        new.set_sform(affine, code=1)
        if grid_difference(label.shape[:3], affine, label.shape[:3], new.get_qform()) is not None:
            new["qform_code"] = 0
    new["scl_slope"], new["scl_inter"] = 1, 0
    new["vox_offset"] = offset = len(new.binaryblock) + 4
    assert offset in (352, 544)
    data: bytes = new.binaryblock + bytes(4) + label.tobytes(order="F")
    return gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data


PLACE = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip


def _header(start: bytes) -> Any:
    """nibabel's header of the first bytes of a file."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    first = {start[:4], start[3::-1]}
    if (348).to_bytes(4, "little") in first:
        kind, size, magic = Nifti1Header, 348, start[344:348]
    elif (540).to_bytes(4, "little") in first:
        kind, size, magic = Nifti2Header, 540, start[4:8]
    else:
        raise Refused(
            "cannot be read, it is no NIfTI file (its header's size is neither 348 nor 540)"
        )
    if len(start) < size:
        raise Truncated(f"{len(start)} bytes; a header has {size}")
    if magic[:3] in (b"ni1", b"ni2"):
        raise Refused("is one of a pair of files (.hdr, .img); save it as one .nii or .nii.gz")
    if magic[:3] not in (b"n+1", b"n+2"):
        raise Refused("cannot be read, it is no NIfTI file (its magic is neither n+1 nor n+2)")
    little = start[:4] == size.to_bytes(4, "little")
    return kind(start[:size], endianness="<" if little else ">", check=False)


def _shape(header: Any) -> tuple[int, ...]:
    count = int(header["dim"][0])
    shape = tuple(int(length) for length in header["dim"][1 : 1 + max(count, 0)])
    if not 1 <= count <= 7 or min(shape) < 1:
        raise Refused(f"its header gives no valid shape (dim {header['dim'].tolist()})")
    return shape


def _dtype(header: Any) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in COMPLEX:
        raise Refused("holds complex numbers; save their magnitude or another real part")
    if code not in DTYPES:
        raise Refused(f"its datatype {code} is none that can be read")
    return np.dtype(DTYPES[code]).newbyteorder(header.endianness)


def _offset(header: Any) -> int:
    """Offset of the first voxel, in bytes."""
    least = len(header.binaryblock) + 4
    offset = float(header["vox_offset"])
    if offset == 0:
        return least
    if not (least <= offset < 2**40 and offset == int(offset)):
        raise Refused(f"its vox_offset is {offset:g}; {least} is the least")
    return int(offset)


def _affine(header: Any, shape: tuple[int, ...], choice: Choice) -> tuple[Affine, bool]:
    """Voxels to RAS mm, and whether the header says where they lie.

    Raises Refused where qform, sform and pixdim differ and ``choice`` does not say what to take.
    """
    scale = np.diag([UNITS_IN_MM.get(int(header["xyzt_units"]) & 7, 0.0)] * 3 + [1.0])
    if not scale[0, 0]:
        raise Refused(f"its unit of length (xyzt_units {int(header['xyzt_units'])}) is unknown")
    sform = scale @ header.get_sform() if int(header["sform_code"]) > 0 else None
    qform = None
    sizes = scale[0, 0] * np.abs(header["pixdim"][1:4].astype(np.float64))
    sizes[len(shape) :] = 1.0
    if int(header["qform_code"]) > 0 and (sform is None or choice != "sform"):
        qform = scale @ _qform(header)
    for name, affine in (("sform", sform), ("qform", qform)):
        if affine is not None and not _is_valid(affine):
            raise Refused(f"its {name} gives no valid voxel size ({affine[:3].tolist()})")
    if sform is not None and qform is not None and choice == "agree":
        check_agreement(
            shape,
            ("sform", sform),
            ("qform", qform),
            "set dataset.header: sform (or qform) to take that one, or correct the file",
        )
    if qform is not None and (sform is None or choice == "qform"):
        return qform, True
    if sform is not None:
        if choice == "agree" and (sizes[: len(shape)] > 0).all():
            check_agreement(
                shape,
                ("sform", sform),
                ("pixdim", np.diag([*sizes, 1.0])),
                "set dataset.header: sform to take that one, or correct the file",
                sizes_only=True,
            )
        return sform, True
    if not (sizes > 0).all() or not np.isfinite(sizes).all():
        raise Refused(f"its header gives no valid voxel size (pixdim {sizes.tolist()})")
    # As nibabel has it: the first axis to the left, the middle of the volume at the origin.
    affine = np.diag([-sizes[0], sizes[1], sizes[2], 1.0])
    middle = (np.array([*shape, 1, 1][:3]) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ middle
    return affine, False


def _qform(header: Any) -> Affine:
    try:
        affine: Affine = header.get_qform()
    except Exception:
        raise Refused("its qform is no rotation (quatern_b, quatern_c, quatern_d)") from None
    return affine


def _is_valid(affine: Affine) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 0)
