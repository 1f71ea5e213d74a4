"""Reading and writing PNG, TIFF and JPEG: photographs, slides and their masks, in 2D.

A picture's array is (x, y), x to the right and y upwards, as figures show it. A picture holds no
voxel size.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.data.content import Refused, Truncated, reading
from ssl_methods.errors import UserError
from ssl_methods.files import read_regular

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
JPEG = (".jpg", ".jpeg")
FORMATS = ("PNG", "TIFF", "JPEG")
PNG = b"\x89PNG\r\n\x1a\n"
DEFLATE = (8, 32946)  # TIFF's compressions by zlib
GREY = {"1", "L", "I", "F", "I;16", "I;16L", "I;16B"}  # Pillow's names of pixels of one number


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read_picture(path: Path) -> NDArray[np.float32]:
    """(3, x, y) for a colour picture, (1, x, y) for a grey one; 8 bits a channel give 0..255.

    A rotation that a camera noted in the file is applied, as viewers do. Raises UserError naming
    the file if it is broken, transparent somewhere, of several pages, or of another colour space.
    """
    picture = _open(path)
    if picture.mode == "PA" or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode in ("RGBA", "LA"):
        if picture.getchannel("A").getextrema()[0] < 255:
            raise UserError(f"{path}: is transparent in places; save it without an alpha channel")
        picture = picture.convert("RGB" if picture.mode == "RGBA" else "L")
    if picture.mode == "P":
        picture = picture.convert("RGB")
    if picture.mode == "RGB":
        return np.stack(
            [_upwards(channel, np.float32) for channel in np.moveaxis(np.asarray(picture), -1, 0)]
        )
    return _upwards(_grey(path, picture), np.float32)[np.newaxis]


def read_mask(path: Path) -> NDArray[Any]:
    """(x, y), class numbers; a mask of 0 and 255 alone is of 0 and 1.

    Grey pictures, palettes (the number of the colour counts, not the colour) and colour pictures
    whose channels are equal. Raises UserError for other colours, for JPEG, which changes values,
    and for grey levels between 0 and 255.
    """
    if path.suffix.lower() in JPEG:
        raise UserError(f"{path}: JPEG changes the values of a mask; save it as PNG or TIFF")
    picture = _open(path)
    if picture.mode == "P":
        values = np.asarray(picture)
    elif picture.mode in ("RGB", "RGBA", "LA"):
        colours = np.asarray(picture.convert("RGB"))
        if (colours != colours[..., :1]).any():
            raise UserError(
                f"{path}: is a mask in colours, and which class a colour means is not known; save "
                "class numbers (0, 1, 2, ...) as a grey or palette picture, or 0 and 255"
            )
        values = colours[..., 0]
    else:
        values = _grey(path, picture)
    found = np.unique(values)
    if found[-1] == 255 and not np.isin(found, (0, 255)).all():
        raise UserError(
            f"{path}: a mask of grey levels ({len(found)} values up to 255); save it without "
            "smoothing, as 0 and 255 or as class numbers"
        )
    return _upwards((values == 255).astype(np.uint8) if found[-1] == 255 else values)


def resolution(path: Path) -> tuple[float, float] | None:
    """Dots per inch that the file states; ITK reads them as voxel size. None if it does not."""
    from PIL import Image

    with Image.open(io.BytesIO(read_regular(path)), formats=FORMATS) as picture:
        dpi = picture.info.get("dpi")
    across, up = map(float, dpi or (0, 0))
    return (across, up) if 0 < across < np.inf and 0 < up < np.inf else None


def encoded(path: Path, label: NDArray[Any], dpi: tuple[float, float] | None) -> bytes:
    """A label map (x, y), uint8 or uint16, as grey PNG or TIFF that lies over its picture.

    Pixels hold the class numbers.
    """
    from PIL import Image

    content = io.BytesIO()
    kind = "PNG" if path.suffix.lower() == ".png" else "TIFF"
    options: dict[str, Any] = {} if dpi is None else {"dpi": dpi}
    Image.fromarray(np.ascontiguousarray(label[:, ::-1].T)).save(content, kind, **options)
    return content.getvalue()


def _open(path: Path) -> Any:
    """A Pillow picture, decoded and turned upright."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = read_regular(path)
    with reading(path):
        if content.startswith(PNG):
            _check_png(content)
        try:
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if (pages := getattr(picture, "n_frames", 1)) > 1:
                raise Refused(f"holds {pages} pages; save them one by one")
            if picture.format == "TIFF":
                _check_tiff(picture, content)
            picture.load()
            return ImageOps.exif_transpose(picture)
        except Image.DecompressionBombError:
            raise Refused("is too large; cut it into tiles") from None
        except UnidentifiedImageError:
            raise Refused("cannot be read, it is neither PNG, TIFF nor JPEG") from None


def _check_png(content: bytes) -> None:
    """Raises Refused or Truncated unless each chunk has the checksum that it carries."""
    at, kind = len(PNG), b""
    while kind != b"IEND":
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(content):
            raise Truncated(f"{len(content)} bytes; a chunk ends at {end + 4}")
        if zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise Refused("is damaged: the checksum of a part is wrong")
        kind, at = content[at + 4 : at + 8], end + 4


def _check_tiff(picture: Any, content: bytes) -> None:
    """Raises unless strips or tiles lie within the file, and deflated ones have their checksums."""
    tags = picture.tag_v2
    for starts, counts in ((273, 279), (324, 325)):
        for start, count in zip(tags.get(starts, ()), tags.get(counts, ()), strict=False):
            if start + count > len(content):
                raise Truncated(f"{len(content)} bytes; a strip ends at {start + count}")
            if tags.get(259, 1) in DEFLATE:
                try:
                    zlib.decompress(content[start : start + count])
                except zlib.error as error:
                    raise Refused(f"is damaged: a strip is broken ({error})") from None


def _grey(path: Path, picture: Any) -> NDArray[Any]:
    if picture.mode not in GREY:
        raise UserError(f"{path}: its pixels are {picture.mode}; save it as RGB or grey")
    return np.asarray(picture)


def _upwards(rows: NDArray[Any], dtype: type | None = None) -> NDArray[Any]:
    """Rows from top to bottom -> (x, y)."""
    return np.ascontiguousarray(rows[::-1].T, dtype=dtype)
