"""Where the files that come with the package lie: Snakefile, workflow/, profiles/ and configs/."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_IN_A_WHEEL = _PACKAGE / "_project"  # setup.py puts them there

FOLDER = _IN_A_WHEEL if _IN_A_WHEEL.is_dir() else _PACKAGE.parent
