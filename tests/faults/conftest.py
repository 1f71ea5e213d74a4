"""Faults need minutes, and have a target of their own: make faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.stages import Stages, build

from ssl_methods.locks import held


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """The tiny experiment, undisturbed, with a copy of its folder after each step.

    Made once for all processes of pytest; UNDISTURBED=FOLDER keeps it for the next call, while no
    source changes.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    base = Path(os.environ.get("UNDISTURBED", shared / "undisturbed")).resolve()
    base.parent.mkdir(parents=True, exist_ok=True)
    with held(Path(f"{base}.lock")):
        return Stages(base) if (base / "seconds.json").exists() else build(base)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Said(config))


class Said:
    """Shows, as each test ends, the line that it has recorded (``record_property``)."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and report.when == "call" and report.user_properties:
            said = "; ".join(str(value) for _, value in report.user_properties)
            terminal.ensure_newline()
            terminal.write_line(f"{report.outcome} {said}")
