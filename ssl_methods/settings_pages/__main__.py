"""`python -m ssl_methods.settings_pages`: writes the pages and the schema below the working
directory. Tests say when they are stale."""

from __future__ import annotations

import json
from pathlib import Path

from ssl_methods.files import write_text
from ssl_methods.settings_pages.pages import PAGES
from ssl_methods.settings_pages.schema import experiment_schema


def main() -> None:
    """Write `docs/reference/` and the schema of experiment files."""
    made = {Path("docs/reference", page): text() for page, text in PAGES.items()}
    made[Path("workflow/schemas/experiment.schema.json")] = (
        json.dumps(experiment_schema(), indent=1) + "\n"
    )
    for path, text in made.items():
        write_text(path, text)
        print(path)


if __name__ == "__main__":
    main()
