"""The training loop, the same for every method.

In: a method, a sampler, the training settings. Out: the trained method (in place) and a ``State``
with the history and the time spent. The method's optimisers, the schedule of the learning rate,
autocast, checkpoints, a check for non-finite losses and gradients.
"""

from __future__ import annotations

import logging
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from ssl_methods import schedules
from ssl_methods.batch import Batch, Loss, LossTerms, Progress, Term
from ssl_methods.config import Precision, TrainingConfig
from ssl_methods.data.sampling import Sampler
from ssl_methods.devices.other_work import seconds_of_others
from ssl_methods.devices.precision import autocast as autocast_to
from ssl_methods.errors import Stopped, UserError
from ssl_methods.methods.base import Method
from ssl_methods.networks import Network
from ssl_methods.training.checkpoint import Checkpoint, Row, State
from ssl_methods.training.gradients import GradientWatch, Largest
from ssl_methods.training.interruption import Interruption
from ssl_methods.training.kept_weights import Snapshots
from ssl_methods.training.micro_batches import memory_watched, step_in_parts
from ssl_methods.training.observers import Observer

log = logging.getLogger(__name__)

Validate = Callable[[Method], float]


class Step(NamedTuple):
    """What is kept of an iteration until somebody looks."""

    t: int  # from 0
    rate: float
    terms: LossTerms
    gradients: Sequence[Largest] = ()


class TrainingDiverged(UserError):
    """A loss term or a gradient became NaN or infinite."""


def fit(
    method: Method,
    sampler: Sampler,
    training: TrainingConfig,
    checkpoint: Checkpoint,
    device: torch.device,
    observer: Observer,
    *,
    validate: Validate | None = None,
    snapshots: Snapshots | None = None,
    parts: int = 1,
    interruption: Interruption | None = None,
    precision: Precision = "float32",
) -> State:
    """Train to the last iteration, from the newest checkpoint if there is one.

    Each batch is taken in so many ``parts``, or in more if the checkpoint says so. Whether a GPU
    may round to TF32 is the caller's to say (`devices.precision.tf32`).

    Raises:
        TrainingDiverged: names the iteration and the loss term, or the parameter whose gradient it
            is; the last good checkpoint stays.
        DoesNotFit: a step needs more memory than the GPU has, and its batch can be divided further.
        Stopped: a signal came; the checkpoint is of the step just done.
    """
    optimizers = method.optimizers(training)
    state = checkpoint.restore(method, [optimizer for optimizer, _ in optimizers])
    if parts > state.parts:
        state.divided.append((state.iteration, parts))
    if not optimizers:
        return state
    count_forward_passes(method, state)
    method.train()
    autocast = autocast_to(precision, device)
    watch = GradientWatch.of(method, [optimizer for optimizer, _ in optimizers])
    total_iterations, unseen = training.iterations, list[Step]()
    clock = Clock(device, state)

    for t in tqdm(
        range(state.iteration, total_iterations),
        initial=state.iteration,
        total=total_iterations,
        disable=not sys.stderr.isatty(),
    ):
        progress = Progress(t, total_iterations)
        rate = schedules.learning_rate(t, training)
        for group in optimizers[0][0].param_groups:
            group["lr"] = rate
        if training.compile == "graphs":
            torch.compiler.cudagraph_mark_step_begin()
        with memory_watched(method, training, t, state.parts):
            batch = sampler.batch(t)
            if state.parts == 1:
                terms = step(optimizers, batch, progress, autocast)
            else:
                terms = step_in_parts(optimizers, batch, progress, autocast, state.parts)
        method.after_step(progress)
        unseen.append(Step(t, rate, terms, watch.taken()))

        done = t + 1
        state.iteration = done
        last = done == total_iterations
        if snapshots is not None and done in snapshots.iterations:
            with clock.paused():
                snapshots.keep(done, method)
        validating = validate is not None and (last or done % training.validate_every == 0)
        stop = None if last or interruption is None else interruption.received
        saving = last or stop is not None or done % training.checkpoint_every == 0
        if t == 0 or last or validating or saving or done % training.log_every == 0:
            row = inspect(unseen, checkpoint)
            unseen = []
            with clock.paused():
                if validate is not None and validating:
                    row["validation_dice"] = validate(method)
                    method.train()
                if t == 0 or last or validating or done % training.log_every == 0:
                    state.rows.append(row)
                    observer.see(row, total_iterations)
                if saving:
                    checkpoint.save(method, [optimizer for optimizer, _ in optimizers], state)
            if stop is not None:
                raise Stopped(stop, f" after iteration {done}; the same command goes on from there")
    clock.stop()
    return state


def step(
    optimizers: list[tuple[Optimizer, Loss]],
    batch: Batch,
    progress: Progress,
    autocast: AbstractContextManager[object] | None = None,
) -> LossTerms:
    """One iteration: each optimiser lowers its loss, in order. Returns all terms, detached.

    Raises UserError in plain words for what is no dict of terms, or cannot be differentiated.
    """
    seen: LossTerms = {}
    for optimizer, loss in optimizers:
        with autocast or nullcontext():
            terms = loss(batch, progress)
        check_terms(terms)
        optimizer.zero_grad()
        weighted_sum(terms).backward()
        optimizer.step()
        seen |= {name: term._replace(value=term.value.detach()) for name, term in terms.items()}
    return seen


def weighted_sum(terms: LossTerms) -> Tensor:
    """The scalar that is differentiated, in float32."""
    return torch.stack([term.weight * term.value.float() for term in terms.values()]).sum()


def check_terms(terms: LossTerms) -> None:
    """Raises UserError for what a loss must not return; looks at no number on the device."""
    if not isinstance(terms, dict) or not terms:
        empty = terms is None or isinstance(terms, dict)
        what = "nothing" if empty else f"a {type(terms).__name__}"
        raise UserError(f"loss() returned {what}; return a dict of names with Term(value, weight)")
    for name, term in terms.items():
        if not isinstance(term, Term) or not isinstance(term.value, Tensor):
            kind = type(term.value if isinstance(term, Term) else term).__name__
            raise UserError(f"loss(): '{name}' is a {kind}; give Term(value, weight) of a tensor")
        if term.value.dim():
            raise UserError(
                f"loss(): term '{name}' has shape {tuple(term.value.shape)}; reduce it to one "
                "number, e.g. with .mean()"
            )
    if not any(term.value.requires_grad for term in terms.values()):
        raise UserError(
            "loss(): no term has a gradient; it is computed from detached tensors, or under "
            "torch.no_grad()"
        )


def inspect(steps: Sequence[Step], checkpoint: Checkpoint) -> Row:
    """The history row of the newest step, after a look at every step since the last look.

    One transfer from the device for all of them. Raises TrainingDiverged at the first non-finite
    loss, or gradient where the losses of its step are finite.
    """
    looked_at = [
        *(term.value.float().reshape(1) for step in steps for term in step.terms.values()),
        *(largest.values.float() for step in steps for largest in step.gradients),
    ]
    values = torch.cat(looked_at).tolist()
    losses, gradients = iter(values), iter(values[sum(len(step.terms) for step in steps) :])
    numbers: dict[str, float] = {}
    for step in steps:
        numbers = {name: next(losses) for name in step.terms}
        largest = [(name, next(gradients)) for held in step.gradients for name in held.names]
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise diverged(f"loss term '{name}' became {value}", step.t, checkpoint)
        for name, value in largest:
            if not math.isfinite(value):
                what = f"the gradient of '{name}' became {value}, its losses being finite,"
                raise diverged(what, step.t, checkpoint)
    newest = steps[-1]
    weights = {f"weight_{name}": term.weight for name, term in newest.terms.items()}
    loss = sum(newest.terms[name].weight * value for name, value in numbers.items())
    row = {"iteration": newest.t + 1, "learning_rate": newest.rate, "loss": loss}
    return row | numbers | weights


def diverged(what: str, t: int, checkpoint: Checkpoint) -> TrainingDiverged:
    """The error that says what became non-finite, and what can be done."""
    there = checkpoint.newest.exists()
    kept = f"the last checkpoint is {checkpoint.newest}" if there else "no checkpoint yet"
    return TrainingDiverged(
        f"{what} at iteration {t + 1}; {kept}; try a lower training.learning_rate, or"
        " training.precision: float32"
    )


def count_forward_passes(method: Method, state: State) -> None:
    """Raise ``state.forward_passes`` by every call in training of an encoder, a teacher's too."""

    def count(module: nn.Module, *_: object) -> None:
        state.forward_passes += module.training

    for module in method.modules():
        if isinstance(module, Network):
            module.encoder.register_forward_hook(count)


class Clock:
    """Seconds spent in steps (``train_seconds``) and in all (``wall_seconds``), and what other
    processes had of the machine meanwhile (``other_seconds``), summed over resumptions."""

    def __init__(self, device: torch.device, state: State) -> None:
        self.device, self.state = device, state
        self.mark = self.wall_mark = self._now()
        self.others = seconds_of_others()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def stop(self) -> None:
        """Book what has passed."""
        now = self._now()
        self.state.train_seconds += now - self.mark
        self.state.wall_seconds += now - self.wall_mark
        others = seconds_of_others()
        self.state.other_seconds += max(0.0, others - self.others)
        self.others = others
        self.state.peak_memory_mb = max(self.state.peak_memory_mb, peak_memory_mb(self.device))
        self.mark = self.wall_mark = now

    def paused(self) -> Clock:
        return self

    def __enter__(self) -> None:
        self.stop()

    def __exit__(self, *_: object) -> None:
        self.mark = self._now()


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory held so far: allocated on the GPU, or resident in this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
