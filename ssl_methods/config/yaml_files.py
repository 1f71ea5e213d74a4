"""YAML files: where those of ``configs/`` lie, and what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_methods import project, yaml_core
from ssl_methods.errors import UserError, did_you_mean
from ssl_methods.files import read_text

LARGEST_MB = 8.0


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises UserError naming the file if it is absent, broken or not a mapping."""
    text = read_text(path, LARGEST_MB)
    try:
        data = yaml_core.load(text)
    except yaml_core.BadYaml as error:
        raise UserError(f"{path}: is not valid YAML ({error})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected 'key: value' lines at the top level")
    return data


def find_config(kind: str, name: str) -> Path:
    """configs/<kind>/<name>.yaml, below the working directory or of the project."""
    folders = [Path("configs", kind), project.FOLDER / "configs" / kind]
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UserError(f"configs/{kind}: there is no '{name}'{did_you_mean(name, known)}")


def published_folder() -> Path:
    """``configs/published`` below the working directory, or else of the project."""
    here = Path("configs", "published")
    return here if here.is_dir() else project.FOLDER / here
