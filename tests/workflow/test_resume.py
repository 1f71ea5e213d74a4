"""What Snakemake leaves when it is killed, and two of them at a time (all of it: make faults)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support.harness import TINY, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.long]

RUN = "dtc/labeled-2/subset-0/seed-0"


def test_killed_alone_it_is_resumed_beside_its_orphans(finished, workflow: Workflow):
    """Its job goes on by itself; the rerun waits for that and takes over what it has trained."""
    undisturbed = finished[0].folder / "results/tiny/runs" / RUN
    folder = workflow.folder / "results/tiny/runs" / RUN
    target = f"results/tiny/runs/{RUN}/model.pt"
    with subprocess.Popen(
        workflow.command(target, experiment=TINY),
        cwd=workflow.project,
        env=workflow.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as snakemake:
        give_up = time.monotonic() + 120
        while not (folder / "checkpoint.pt").exists():
            assert time.monotonic() < give_up
            time.sleep(0.005)
        orphans = psutil.Process(snakemake.pid).children(recursive=True)
        assert orphans
        for each in orphans:  # so that it is still there when the others come
            each.suspend()
        second = workflow.snakemake(target, experiment=TINY)
        assert second.returncode == 1
        assert second.stdout.splitlines()[-1].startswith(
            "error: results/tiny: another Snakemake works on this experiment "
            f"(process {snakemake.pid} on "
        )
        os.kill(snakemake.pid, signal.SIGKILL)
    for each in orphans:
        each.resume()
    done = workflow.snakemake(target, experiment=TINY)
    assert done.returncode == 0, done.stdout
    assert (folder / "model.pt").read_bytes() == (undisturbed / "model.pt").read_bytes()
    assert json.loads((folder / "provenance.json").read_text())["resumed_from"]
    assert not Path(folder / "checkpoint-previous.pt").exists()
