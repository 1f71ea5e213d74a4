"""Trained runs as one ZIP file: what `export` writes, `predict` and ``ssl_methods.load`` read.

``run-<i>/run.yaml``, ``run-<i>/model.pt`` and, with stain normalisation,
``run-<i>/stain_reference.npy``. Nothing is compressed, so that no file can be larger than the
archive that holds it; dates are left out, so that equal runs give equal bytes.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from ssl_methods.data.store import STAIN_REFERENCE
from ssl_methods.errors import UserError
from ssl_methods.files import atomic

MEMBER = re.compile(r"run-\d{1,3}/(run\.yaml|model\.pt|stain_reference\.npy)")
MOST_RUNS = 100


def pack(path: Path, runs: Sequence[tuple[dict[str, object], Path]]) -> None:
    """Write runs, each as the content of its ``run.yaml`` and the folder of its other files."""
    with atomic(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, (record, folder) in enumerate(runs):
            text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
            archive.writestr(_member(f"run-{number}/run.yaml"), text)
            for name in ("model.pt", STAIN_REFERENCE):
                source = folder / name
                if source.is_file():
                    info = _member(f"run-{number}/{name}")
                    with (
                        source.open("rb") as content,
                        archive.open(info, "w", force_zip64=True) as member,
                    ):
                        shutil.copyfileobj(content, member)


def _member(name: str) -> zipfile.ZipInfo:
    """An entry of the archive without a date; readable where another program unpacks it."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o644 << 16
    return info


@contextmanager
def folders_of(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The folders of runs, those of ZIP files unpacked while the block runs.

    Errors of what was unpacked name the ZIP file.
    """
    with ExitStack() as stack:
        folders: list[Path] = []
        unpacked: dict[str, Path] = {}
        for path in paths:
            if path.suffix.lower() != ".zip":
                folders.append(path)
                continue
            target = Path(stack.enter_context(TemporaryDirectory(prefix="ssl-methods-")))
            unpacked[str(target)] = path
            folders += _unpack(path, target)
        try:
            yield folders
        except UserError as error:
            text = str(error)
            for folder, archive in unpacked.items():
                text = text.replace(folder, str(archive))
            raise type(error)(text) from None


def _unpack(path: Path, target: Path) -> list[Path]:
    """Raises UserError for anything that `export` would not have written, and for damage."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            for member in members:
                file = target / member.filename
                file.parent.mkdir(exist_ok=True)
                with archive.open(member) as content, file.open("wb") as written:
                    shutil.copyfileobj(content, written)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be unpacked ({error.strerror or error})") from None
    except Exception as error:  # whatever bytes may lie there; zipfile raises of all kinds
        raise UserError(f"{path}: is no export of this project, or damaged ({error})") from None
    return sorted({target / Path(member.filename).parent for member in members}, key=_number)


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    strange = [name for name in names if not MEMBER.fullmatch(name)]
    if strange or not names or len(set(names)) < len(names):
        shown = f" (it holds {strange[0]!r})" if strange else ""
        raise UserError(f"{path}: is no export of this project{shown}")
    if len({name.split("/")[0] for name in names}) > MOST_RUNS:
        raise UserError(f"{path}: holds more than {MOST_RUNS} runs")
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > path.stat().st_size:
        raise UserError(f"{path}: was packed by another program; write it with 'export'")


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("run-"))
