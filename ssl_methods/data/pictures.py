"""Reading and writing PNG, TIFF and JPEG: photographs, slides and their masks, in 2D.

A picture's array is (x, y), x to the right and y upwards, as figures show it. A picture holds no
voxel size.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_methods.errors import UserError
from ssl_methods.files import write_with

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
JPEG = (".jpg", ".jpeg")
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
        return np.stack([_upwards(channel) for channel in np.moveaxis(np.asarray(picture), -1, 0)])
    return _upwards(_grey(path, picture))[np.newaxis]


def read_mask(path: Path) -> NDArray[np.float32]:
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
    return _upwards(values == 255 if found[-1] == 255 else values)


def write_mask(path: Path, label: NDArray[np.uint8]) -> None:
    """A label map (x, y) as grey PNG that lies over its picture; pixels hold the class numbers."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(label[:, ::-1].T)).save(content, "PNG")
    write_with(path, lambda file: file.write(content.getvalue()))


def _open(path: Path) -> Any:
    """A Pillow picture, decoded and turned upright."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if (pages := getattr(picture, "n_frames", 1)) > 1:
                raise UserError(f"{path}: holds {pages} pages; save them one by one")
            picture.load()
            return ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError:
        raise UserError(f"{path}: is too large; cut it into tiles") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read, it may be truncated ({reason})") from None


def _grey(path: Path, picture: Any) -> NDArray[Any]:
    if picture.mode not in GREY:
        raise UserError(f"{path}: its pixels are {picture.mode}; save it as RGB or grey")
    return np.asarray(picture)


def _upwards(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows from top to bottom -> (x, y)."""
    return np.ascontiguousarray(rows[::-1].T, dtype=np.float32)
