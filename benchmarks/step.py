"""Seconds of a training step: each method against its bare network, DTC against the released step.

Bare: the method's forward passes on constant tensors, one backward pass, the optimisers; in the
same memory layout and precision. What a method computes beside its passes counts as overhead, as
deep_co_training's attacks do: backward passes of their own. Generated scans; on the CPU two
threads, freed memory kept (Host memory says what that gains) by all alike, and at the paper's
settings DTC alone. Turns of several steps alternate.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.bare import bare_step
from benchmarks.released_step import ReleasedStep, write_hdf5
from benchmarks.timing import alternate, arguments, ratio, show
from ssl_methods import methods
from ssl_methods.config import NetworkConfig, PhantomDataset, TrainingConfig
from ssl_methods.data.prepare import prepare
from ssl_methods.data.sampling import Sampler
from ssl_methods.data.store import Store, store_folder
from ssl_methods.devices import place
from ssl_methods.devices.host_memory import keep_freed_memory
from ssl_methods.devices.precision import autocast, resolve, tf32
from ssl_methods.methods.base import Method, Progress
from ssl_methods.training.acceleration import accelerate
from ssl_methods.training.checkpoint import Checkpoint
from ssl_methods.training.gradients import GradientWatch
from ssl_methods.training.loop import Step, inspect, step

LABELED, ITERATIONS = 4, 6000


@dataclass(frozen=True)
class Scale:
    """One size of the work."""

    name: str
    scans: tuple[int, ...]
    patch: tuple[int, ...]
    width: int
    steps: int  # per turn
    rounds: int
    dtc_rounds: int  # DTC is held against bars, so it is measured longer
    methods: list[str]


def scales(device: torch.device, rounds: int) -> list[Scale]:
    trained = [name for name in methods.names() if methods.method_class(name).role == "method"]
    on_gpu = device.type == "cuda"
    small = Scale("hippocampus", (36, 50, 36), (32, 48, 32), 8, 4, rounds, 9 * rounds, trained)
    paper = Scale("paper", (176, 140, 88), (112, 112, 80), 16, 1, 0, 9, ["dtc"])
    large = Scale("paper", (176, 140, 88), (112, 112, 80), 16, 20, rounds, 3 * rounds, trained)
    return [small, large] if on_gpu else [small, paper]


class HarnessStep:
    """Call it: one iteration as the loop makes it, a look at the losses in every tenth included."""

    def __init__(self, method: Method, sampler: Sampler, training: TrainingConfig) -> None:
        self.method, self.sampler, self.training = method, sampler, training
        self.optimizers = method.optimizers(training)
        self.watch = GradientWatch.of(method, [optimizer for optimizer, _ in self.optimizers])
        self.t, self.unseen = ITERATIONS - 1000, list[Step]()  # methods with stages are in the last
        self.checkpoint = Checkpoint(Path("none"), "", sampler.device)

    def __call__(self) -> None:
        torch.use_deterministic_algorithms(self.training.deterministic)
        progress, batch = Progress(self.t, ITERATIONS), self.sampler.batch(self.t)
        with precision(self.method, self.sampler.device) as cast:
            terms = step(self.optimizers, batch, progress, cast)
        self.method.after_step(progress)
        rate, gradients = self.training.learning_rate, self.watch.taken()
        self.unseen.append(Step(self.t, rate, terms, gradients))
        self.t += 1
        if self.t % self.training.log_every == 0:
            inspect(self.unseen, self.checkpoint)
            self.unseen = []


@contextmanager
def precision(method: Method, device: torch.device) -> Iterator[torch.autocast]:
    """That which `auto` gives the method here; the autocast is for its forward passes."""
    chosen = resolve("auto", method.least_precision, device)
    with tf32(chosen == "tf32"):
        yield autocast(chosen, device)


def turn(call: Callable[[], None], steps: int, device: torch.device) -> Callable[[], None]:
    """Several steps, to their end on the device."""

    def run() -> None:
        for _ in range(steps):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def prepared(scale: Scale, folder: Path) -> Store:
    """The store of the scale's scans, made in the folder if it is not there."""
    scans = PhantomDataset(
        name=scale.name, importer="phantom", shape=scale.scans, train_cases=8, test_cases=1
    )
    prepare(scans, folder)
    return Store.open(store_folder(scans, folder))


def harness_step(name: str, scale: Scale, store: Store, device: torch.device) -> HarnessStep:
    torch.manual_seed(0)
    ids, training = store.ids("train"), TrainingConfig(patch_size=scale.patch)
    network = NetworkConfig(width=scale.width)
    method = place(methods.create(name, network=network), scale.patch, device).train()
    accelerate(method, training, device)
    sampler = Sampler(store, ids[:LABELED], ids[LABELED:], training, 0, method.targets, device)
    return HarnessStep(method, sampler, training)


def measure(scale: Scale, folder: Path, device: torch.device) -> list[dict[str, Any]]:
    store = prepared(scale, folder)
    files = write_hdf5(store, store.folder)
    rows = []
    for name in scale.methods:
        harness = harness_step(name, scale, store, device)
        training, alone = harness.training, copy.deepcopy(harness.method)
        with precision(alone, device) as cast, cast:
            batch, progress = harness.sampler.batch(0), Progress(ITERATIONS - 1, ITERATIONS)
            bare = bare_step(alone, training, batch, progress)

        def bare_in_precision(bare: Callable[[], None] = bare, method: Method = alone) -> None:
            with precision(method, device) as cast, cast:
                bare()

        calls: dict[str, Callable[[], None]] = {"bare": bare_in_precision, "harness": harness}
        if name == "dtc":
            for workers in (0, 4) if scale.steps > 1 else (0,):
                calls[f"released, {workers} workers"] = ReleasedStep(
                    files, LABELED, scale.patch, scale.width, workers, device
                )
        turns = {title: turn(call, scale.steps, device) for title, call in calls.items()}
        rounds = alternate(turns, scale.dtc_rounds if name == "dtc" else scale.rounds)
        seconds = {title: median(values) / scale.steps for title, values in rounds.items()}
        released = [title for title in rounds if title.startswith("released")]
        faster = [ratio(rounds[title], rounds["harness"]) for title in released]
        rows.append(
            {
                "scale": scale.name,
                "device": device.type,
                "method": name,
                "bare, s": seconds["bare"],
                "harness, s": seconds["harness"],
                "overhead, %": ratio(rounds["harness"], rounds["bare"]).percent_above_one(),
                "released, 0 workers, s": seconds.get("released, 0 workers"),
                "released, 4 workers, s": seconds.get("released, 4 workers"),
                "released / harness": min(faster, default=None),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    options = arguments(__doc__, rounds=7)
    torch.set_num_threads(2)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for scale in scales(device, options.rounds)
            for row in measure(scale, Path(folder), device)
        ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
