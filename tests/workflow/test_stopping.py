"""Snakemake is stopped, or a job of it fails: what it says, what stays, and what goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.harness import TINY, Workflow
from support.processes import gone

pytestmark = [pytest.mark.workflow, pytest.mark.system]

SLOW = TINY | {
    "methods": ["supervised"],
    "training": TINY["training"] | {"iterations": 20_000, "device": "cpu"},
}
RUN = Path("results/tiny/runs/supervised/labeled-2/subset-0/seed-0")


def test_a_signal_to_it_alone_stops_its_jobs_which_write_checkpoints(workflow: Workflow):
    """SIGTERM, as of a scheduler, or of who was in the background and had Ctrl-C ignored."""
    run, printed = workflow.folder / RUN, workflow.folder / "printed.txt"
    command = workflow.command(experiment=SLOW)
    with printed.open("w") as file:
        snakemake = subprocess.Popen(
            command,
            cwd=workflow.project,
            env=workflow.environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
    give_up = time.monotonic() + 300
    while '"at"' not in (text := progress(run)) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert '"at"' in text, printed.read_text()
    snakemake.send_signal(signal.SIGTERM)
    assert snakemake.wait(timeout=120) == 1
    assert gone(snakemake.pid)
    assert (run / "checkpoint.pt").exists() and not (run / "model.pt").exists()
    assert json.loads(progress(run).splitlines()[-1])["end"] == "stopped"
    lines = printed.read_text().splitlines()
    assert lines[-2:] == [
        "stopped by SIGTERM; 0 of 1 runs are done and kept, 1 more as far as they were.",
        f"The same command goes on from there: snakemake {' '.join(command[3:])}",
    ]
    assert not re.search("RuleException|WorkflowError|Traceback|CalledProcess", "\n".join(lines))


def progress(run: Path) -> str:
    path = run / "progress.jsonl"
    return path.read_text() if path.exists() else ""


def test_few_lines_are_said_of_a_sweep(finished):
    """Of two runs, from nothing to the report, with the name of the report."""
    lines = finished[1].splitlines()
    assert 5 <= len(lines) <= 15, finished[1]
    assert lines[-1] == "results/tiny/report.html" and lines[-2].startswith("took ")
    assert not re.search("Finished jobid|Select jobs|Building DAG|rule ", finished[1])
    said = next(line for line in lines if "0 of 2 runs done" in line)
    assert said.endswith("time left: not known before an iteration is measured")
