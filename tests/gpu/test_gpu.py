"""What a GPU may get wrong: other values than the CPU, other bits twice, leases, memory."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from benchmarks.children import environment
from benchmarks.same_draws import SameDraws
from ssl_methods import level_set, methods
from ssl_methods.checks.materials import make, make_batch
from ssl_methods.config import TrainingConfig
from ssl_methods.distance import signed_distances
from ssl_methods.methods.base import Batch, Progress
from ssl_methods.training.loop import step
from ssl_methods.training.train import train

pytestmark = pytest.mark.gpu

TRAINED = [name for name in methods.names() if methods.method_class(name).role == "method"]


def one_step(name: str, device: torch.device) -> tuple[dict[str, float], torch.Tensor]:
    """Loss terms of one step, and by how much it moved all trained weights, on the CPU."""
    method, batch = make(name), make_batch()
    moved = Batch(**{k: v if v is None else v.to(device) for k, v in vars(batch).items()})
    method = method.to(device).train()
    before = torch.cat([p.detach().cpu().flatten() for p in method.parameters()])
    optimizers = method.optimizers(TrainingConfig())
    torch.manual_seed(0)
    with SameDraws():
        terms = step(optimizers, moved, Progress(60, 100))
    after = torch.cat([p.detach().cpu().flatten() for p in method.parameters()])
    return {key: float(term.value) for key, term in terms.items()}, after - before


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_is_that_of_the_cpu(name: str, device: torch.device):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    here, moved_here = one_step(name, torch.device("cpu"))
    there, moved_there = one_step(name, device)
    assert there == pytest.approx(here, rel=1e-3, abs=1e-5)
    assert (moved_there - moved_here).norm() < 1e-2 * moved_here.norm()


@pytest.mark.parametrize("shape", [(24, 20, 16), (33, 40)])
def test_level_sets_are_those_of_scipy(shape: tuple[int, ...], device: torch.device):
    random = np.random.default_rng(0)
    masks = np.stack([random.random(shape) < share for share in (0.001, 0.1, 0.9)])
    masks = np.concatenate([masks, np.zeros((1, *shape), bool), np.ones((1, *shape), bool)])
    found = signed_distances(torch.from_numpy(masks)[None].to(device))[0].cpu().numpy()
    expected = np.stack([level_set.signed_distance(mask) for mask in masks])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def weights(folder: Path) -> str:
    """A digest of the trained weights, whatever container they are in."""
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    parts = [state[key].contiguous().numpy().tobytes() for key in sorted(state)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture
def results(prepared_results: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared_results, tmp_path / "results")


@pytest.mark.parametrize("name", ["dtc", "mean_teacher", "dan", "bcp"])
def test_the_same_run_gives_the_same_bits(name, device, experiment, results, tmp_path):
    settings = {"iterations": 12, "patch_size": [16, 16, 16], "device": device.type}
    run = experiment(methods=[name], training=settings).run(name, 2, 0, 0)
    for twice in ("one", "two"):
        train(run, results, tmp_path / twice)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def started(run_yaml: Path, results: Path, out: Path, *cells: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ssl_methods", "train", str(run_yaml), *cells]
    return subprocess.Popen(
        [*command, "--results", str(results), "--out", str(out)],
        env=environment(),
    )


def test_a_killed_run_goes_on_to_the_same_bits(device, experiment, results, tmp_path):
    settings = {
        "iterations": 60, "patch_size": [16, 16, 16], "device": device.type, "checkpoint_every": 5
    }  # fmt: skip
    declared = experiment(methods=["dtc"], training=settings)
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(declared.model_dump(mode="json")))
    cell = ("--method", "dtc", "--budget", "2")
    assert started(file, results, tmp_path / "whole", *cell).wait(300) == 0
    process = started(file, results, tmp_path / "killed", *cell)
    until = time.monotonic() + 200
    while not (tmp_path / "killed/checkpoint.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert started(file, results, tmp_path / "killed", *cell).wait(300) == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    record = json.loads((tmp_path / "killed/provenance.json").read_text())
    assert record["resumed_from"]


def test_a_batch_that_does_not_fit_is_taken_in_parts(device, experiment, results, tmp_path):
    if device.type != "cuda":
        pytest.skip("a CPU's memory cannot be limited so; tests/unit injects the error")
    settings = {
        "iterations": 2, "patch_size": [16, 16, 16], "device": "cuda",
        "labeled_batch": 256, "unlabeled_batch": 256,
    }  # fmt: skip
    run = experiment(methods=["supervised"], training=settings).run("supervised", 2, 0, 0)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(80e6 / total)
    try:
        train(run, results, tmp_path / "run")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert record["micro_batches"]


@pytest.mark.parametrize(("runs_per_gpu", "together"), [(2, True), (1, False)])
def test_two_runs_share_a_device_if_both_agree(runs_per_gpu, together, device, tmp_path):
    if device.type != "cuda":
        pytest.skip("the CPU is not leased")
    script = (
        "import sys, time; from ssl_methods.devices.claim import claim\n"
        f"with claim('cuda', {runs_per_gpu}, 'test'):\n"
        "    print(time.monotonic(), flush=True); time.sleep(3); print(time.monotonic())\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    spans = sorted(tuple(map(float, p.communicate(timeout=120)[0].split())) for p in both)
    assert (spans[1][0] < spans[0][1]) == together
