"""The environment of processes that a benchmark starts: this project comes first on their path."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """That of this process; what its PYTHONPATH named is kept, packages may lie there."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
