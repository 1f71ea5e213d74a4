"""Faults need minutes, and have a target of their own: make faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.rounds import HIT
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
    """Shows, as each test ends, the line that it has recorded (``record_property``), and at the end
    a line per means: how many rounds it had, and how many hit."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rounds: dict[str, list[tuple[bool, bool]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or not report.user_properties:
            return
        said = []
        for name, value in report.user_properties:
            if name == HIT:
                means, hit = value
                self.rounds.setdefault(means, []).append((hit, report.passed))
            else:
                said.append(str(value))
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and said:
            terminal.ensure_newline()
            terminal.write_line(f"{report.outcome} {'; '.join(said)}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for means, rounds in sorted(self.rounds.items()):
            hit, mended = (sum(each) for each in zip(*rounds, strict=True))
            terminalreporter.write_line(
                f"{means}: {len(rounds)} rounds, {hit} hit while work went on, {mended} mended"
            )
