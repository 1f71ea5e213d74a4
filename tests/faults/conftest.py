"""Faults need minutes, and have a target of their own: make faults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from stages import Stages, build


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """The tiny experiment, undisturbed, with a copy of its folder before each stage."""
    return build(tmp_path_factory.mktemp("undisturbed"))
