"""All that the repository holds of what the code says of itself."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from ssl_methods.config import read_yaml
from ssl_methods.files import read_text, write_text
from ssl_methods.reporting.showcase import with_table
from ssl_methods.settings_pages.citation import codemeta, zenodo
from ssl_methods.settings_pages.pages import PAGES
from ssl_methods.settings_pages.readme import methods_table
from ssl_methods.settings_pages.schema import experiment_schema


def pages(root: Path) -> dict[Path, str]:
    """The text of each file, by its path below the root of the repository.

    Raises UserError if ``root`` is not that of the repository.
    """
    cited = read_yaml(root / "CITATION.cff")
    project = tomllib.loads(read_text(root / "pyproject.toml"))["project"]
    made = {Path("docs/reference", page): text() for page, text in PAGES.items()}
    made[Path("README.md")] = with_table(read_text(root / "README.md"), "methods", methods_table())
    for name, data in (
        ("workflow/schemas/experiment.schema.json", experiment_schema()),
        ("codemeta.json", codemeta(cited, project)),
        (".zenodo.json", zenodo(cited, project)),
    ):
        made[Path(name)] = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    return made


def write_pages(root: Path) -> list[Path]:
    """Write them, and return their paths."""
    made = pages(root)
    for path, text in made.items():
        write_text(root / path, text)
    return list(made)
