from __future__ import annotations

from pathlib import Path

import pytest
from support.harness import TINY, Workflow, new_workflow


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return new_workflow(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, str]:
    """The tiny experiment, run from nothing to its report, and what Snakemake printed."""
    workflow = new_workflow(tmp_path_factory.mktemp("sweep"))
    done = workflow.snakemake(experiment=TINY)
    assert done.returncode == 0, done.stdout
    return workflow, done.stdout
