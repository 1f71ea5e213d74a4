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
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.bare import bare_step
from benchmarks.released_step import ReleasedStep, write_hdf5
from benchmarks.timing import alternate, options_of, ratio, show
from ssl_methods import methods
from ssl_methods.batch import Progress
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.sampling import Sampler
from ssl_methods.data.store import Store, store_folder
from ssl_methods.devices.host_memory import keep_freed_memory
from ssl_methods.devices.placement import place
from ssl_methods.devices.precision import autocast, resolve, tf32
from ssl_methods.methods.base import Method
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


TINY = Scale("tiny", (18, 20, 16), (16, 16, 16), 2, 1, 1, 1, [])
PAPER = Scale("paper", (176, 140, 88), (112, 112, 80), 16, 5, 7, 21, [])


def scales(device: torch.device, rounds: int) -> list[Scale]:
    """What is measured unless other scales or methods are asked for."""
    small = Scale("hippocampus", (36, 50, 36), (32, 48, 32), 8, 4, rounds, 9 * rounds, trained())
    large = replace(PAPER, rounds=rounds, dtc_rounds=3 * rounds, methods=trained())
    few = replace(PAPER, steps=1, rounds=0, dtc_rounds=9, methods=["dtc"])
    return [small, large if device.type == "cuda" else few]


def trained() -> list[str]:
    return [name for name in methods.names() if methods.method_class(name).role == "method"]


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
        with precision(self.method, self.training, self.sampler.device) as cast:
            terms = step(self.optimizers, batch, progress, cast)
        self.method.after_step(progress)
        rate, gradients = self.training.learning_rate, self.watch.taken()
        self.unseen.append(Step(self.t, rate, terms, gradients))
        self.t += 1
        if self.t % self.training.log_every == 0:
            inspect(self.unseen, self.checkpoint)
            self.unseen = []


@contextmanager
def precision(
    method: Method, training: TrainingConfig, device: torch.device
) -> Iterator[torch.autocast]:
    """That which the settings give the method here; the autocast is for its forward passes."""
    chosen = resolve(training.precision, method.least_precision, device)
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


def harness_step(
    name: str, scale: Scale, store: Store, device: torch.device, training: TrainingConfig
) -> HarnessStep:
    torch.manual_seed(0)
    ids = store.ids("train")
    network = NetworkConfig(width=scale.width)
    method = place(methods.create(name, network=network), scale.patch, device).train()
    accelerate(method, training, device)
    sampler = Sampler(store, ids[:LABELED], ids[LABELED:], training, 0, method.targets, device)
    return HarnessStep(method, sampler, training)


def measure(
    scale: Scale, folder: Path, device: torch.device, with_released: bool = True, **changes: Any
) -> list[dict[str, Any]]:
    """One row per method; ``changes`` are of the training's settings."""
    store = prepared(scale, folder)
    training = TrainingConfig(patch_size=scale.patch, **changes)
    rows = []
    for name in scale.methods:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        harness = harness_step(name, scale, store, device, training)
        alone = copy.deepcopy(harness.method)
        with precision(alone, training, device) as cast, cast:
            batch, progress = harness.sampler.batch(0), Progress(ITERATIONS - 1, ITERATIONS)
            bare = bare_step(alone, training, batch, progress)

        def bare_in_precision(bare: Callable[[], None] = bare, method: Method = alone) -> None:
            with precision(method, training, device) as cast, cast:
                bare()

        calls: dict[str, Callable[[], None]] = {"bare": bare_in_precision, "harness": harness}
        if name == "dtc" and with_released:
            files = write_hdf5(store, store.folder)
            for workers in (0, 4) if scale.steps > 1 else (0,):
                calls[f"released, {workers} workers"] = ReleasedStep(
                    files, LABELED, scale.patch, scale.width, workers, device
                )
        released = [title for title in calls if title.startswith("released")]
        steps = dict.fromkeys(calls, scale.steps) | dict.fromkeys(
            released,
            max(1, scale.steps // 4),  # it is the slower one by far
        )
        turns = {title: turn(call, steps[title], device) for title, call in calls.items()}
        timed = alternate(turns, scale.dtc_rounds if name == "dtc" else scale.rounds)
        rounds = {title: [it / steps[title] for it in timed[title]] for title in timed}
        seconds = {title: median(values) for title, values in rounds.items()}
        faster = [ratio(rounds[title], rounds["harness"]) for title in released]
        rows.append(
            {
                "scale": scale.name,
                "patch": "x".join(map(str, scale.patch)),
                "width": scale.width,
                "device": device.type,
                "method": name,
                "precision": training.precision,
                "compile": training.compile,
                "bare, s": seconds["bare"],
                "harness, s": seconds["harness"],
                "overhead, %": ratio(rounds["harness"], rounds["bare"]).percent_above_one(),
                "released, 0 workers, s": seconds.get("released, 0 workers"),
                "released, 4 workers, s": seconds.get("released, 4 workers"),
                "released / harness": min(faster, default=None),
                "memory, GB": peak_memory_gb(device),
            }
        )
        print(rows[-1], flush=True)
    return rows


def peak_memory_gb(device: torch.device) -> float | None:
    """Allocated on the GPU at most, by the bare network and the released step too."""
    return torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None


def main() -> None:
    parser = options_of(__doc__, rounds=7)
    parser.add_argument("--scales", nargs="+", choices=["tiny", "hippocampus", "paper"])
    parser.add_argument("--methods", nargs="+", metavar="NAME")
    for name in ("precision", "compile"):
        default = TrainingConfig.model_fields[name].default
        parser.add_argument(
            f"--{name}", nargs="+", default=[default], help=f"training.{name} ({default})"
        )
    options = parser.parse_args()
    torch.set_num_threads(2)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    wanted = [*scales(device, options.rounds), replace(TINY, methods=trained())]
    names = options.scales or [scale.name for scale in wanted[:-1]]
    kinds = [(how, precision) for how in options.compile for precision in options.precision]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for scale in wanted
            if scale.name in names
            for kind in kinds
            for row in measure(
                replace(scale, methods=options.methods or scale.methods),
                Path(folder),
                device,
                with_released=kind == kinds[0],
                compile=kind[0],
                precision=kind[1],
            )
        ]
    show(rows, options.json)


if __name__ == "__main__":
    main()
