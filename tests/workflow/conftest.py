from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.harness import TINY, Workflow, new_workflow

from ssl_methods.locks import held


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return new_workflow(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, str]:
    """The tiny experiment, run from nothing to its report, and what Snakemake printed.

    Made once for all processes of pytest. A test that changes it works on a copy.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    base = shared / "finished"
    printed = base / "printed.txt"
    with held(Path(f"{base}.lock")):
        if not printed.exists():
            workflow = new_workflow(base)
            done = workflow.snakemake(experiment=TINY)
            assert done.returncode == 0, done.stdout
            printed.write_text(done.stdout)
    return Workflow(base / "project", base / "work"), printed.read_text()
