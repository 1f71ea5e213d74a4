"""What is kept of results with the project: small tables, small pictures, notes and a README."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from ssl_methods.errors import UserError
from ssl_methods.files import write_text, write_with

WIDEST = 1400  # pixels
NOTES = "NOTES.md"
"""Written by hand beside the README, kept, and shown in it."""


def notes(folder: Path) -> str:
    """The notes of an earlier showcase, '' without any."""
    path = folder / NOTES
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def small(figure: Path) -> bytes:
    """A PNG of at most WIDEST pixels and 256 colours. Raises UserError if it is no picture."""
    content = io.BytesIO()
    try:
        with Image.open(figure, formats=["PNG"]) as image:
            image.thumbnail((WIDEST, 10 * WIDEST))
            reduced = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    except Exception as error:  # whatever the library makes of a damaged file
        raise UserError(f"{figure}: is no picture ({error}); run 'report' again") from None
    reduced.save(content, "PNG", optimize=True)
    return content.getvalue()


def keep(folder: Path, files: Mapping[str, Path], pictures: Mapping[str, bytes], text: str) -> None:
    """Replace the folder: the files that are there under their new names, pictures, notes, README.

    Called when everything is read: what was kept before stays if anything of the results is
    damaged.
    """
    said = notes(folder)
    found = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in {**found, **pictures}.items():
        write_with(folder / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    if said:
        write_text(folder / NOTES, said)
    write_text(folder / "README.md", text)
