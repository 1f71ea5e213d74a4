"""YAML files: where those of ``configs/`` lie, and what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ssl_methods.config.base import did_you_mean
from ssl_methods.errors import UserError

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster one, where it is


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises UserError naming the file if it is absent, broken or not a mapping."""
    try:
        data = yaml.load(path.read_text(), SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected 'key: value' lines at the top level")
    return data


def find_config(kind: str, name: str) -> Path:
    """configs/<kind>/<name>.yaml, below the working directory or beside the package."""
    folders = [Path("configs", kind), Path(__file__).parents[2] / "configs" / kind]
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise UserError(f"configs/{kind}: there is no '{name}'{did_you_mean(name, known)}")


def published_folder() -> Path:
    """``configs/published`` below the working directory, or else beside the package."""
    here = Path("configs", "published")
    return here if here.is_dir() else Path(__file__).parents[2] / here
