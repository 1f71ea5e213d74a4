"""When a step does not fit in the GPU's memory: its batch in parts, one after the other.

Each part has the same share of the labeled and of the unlabeled patches ((4 + 2) becomes twice
(2 + 1)), and the optimiser takes one step along the mean of the parts' gradients. For a loss that
is a mean over patches this is the gradient of the batch. Not so for what looks at several patches
at once: batch statistics, Dice pooled over the batch, and mixing are then of a part.

The rule: the fewest parts that fit. A run starts with whole batches; when memory does not suffice
it goes back to its last checkpoint (or the start) and on with the next larger number of parts that
divides both batches, and leaves each part as many patches as its method mixes. It keeps to that
number, also when it is interrupted and resumed. When there is no such number, it fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import gcd
from typing import Any

import torch
from torch.optim import Optimizer

from ssl_methods.batch import Batch, Loss, LossTerms, Progress, Term
from ssl_methods.config import TrainingConfig
from ssl_methods.errors import UserError
from ssl_methods.methods.base import Method

CHANGES = "batch statistics, batch-pooled Dice and mixing are of each part, not of the batch"


class DoesNotFit(Exception):
    """A step ran out of memory; ``parts`` is the number to try next."""

    def __init__(self, message: str, parts: int) -> None:
        super().__init__(message)
        self.parts = parts


@contextmanager
def memory_watched(method: Method, training: TrainingConfig, t: int, parts: int) -> Iterator[None]:
    """Around the step of iteration t (from 0): out of memory becomes DoesNotFit, or UserError if
    the batch cannot be divided further."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        labeled, unlabeled = part_sizes(method, training, parts)
        what = (
            f"out of GPU memory at iteration {t + 1}"
            f" with {labeled} labeled and {unlabeled} unlabeled patches at a time"
        )
        more = more_parts(parts, method, training)
        if more is None:
            raise UserError(
                f"{what}, and the batch cannot be divided further; try a smaller"
                " training.patch_size, network.width or training.runs_per_gpu"
                f" ({str(error).splitlines()[0]})"
            ) from None
        raise DoesNotFit(
            f"{what}: back to the last checkpoint (or the start), and on with each batch in {more}"
            f" parts ({CHANGES})",
            more,
        ) from None


def record(
    divided: Sequence[tuple[int, int]], method: Method, training: TrainingConfig
) -> list[dict[str, Any]]:
    """The entry of provenance.json: when batches were divided, and what that changes."""
    return [
        {
            "after_iteration": iteration,
            "parts": parts,
            "patches_of_a_part": part_sizes(method, training, parts),
            "changes": CHANGES,
        }
        for iteration, parts in divided
    ]


def part_sizes(method: Method, training: TrainingConfig, parts: int) -> tuple[int, int]:
    """Labeled and unlabeled patches of a part; no unlabeled ones if the method wants none."""
    unlabeled = training.unlabeled_batch if method.wants_unlabeled else 0
    return training.labeled_batch // parts, unlabeled // parts


def more_parts(parts: int, method: Method, training: TrainingConfig) -> int | None:
    """The next larger number of parts into which a batch can be divided, or None."""
    batches = [size for size in part_sizes(method, training, 1) if size]
    common, least = gcd(*batches), method.least_patches
    larger = range(parts + 1, common + 1)
    return next((n for n in larger if common % n == 0 and min(batches) // n >= least), None)


def divided(batch: Batch, parts: int) -> list[Batch]:
    """Equal parts of a batch, its patches in order."""
    level_sets = batch.level_sets.chunk(parts) if batch.level_sets is not None else [None] * parts
    return [
        Batch(*part)
        for part in zip(
            batch.labeled_images.chunk(parts),
            batch.labels.chunk(parts),
            batch.unlabeled_images.chunk(parts)
            if len(batch.unlabeled_images)
            else [batch.unlabeled_images] * parts,
            level_sets,
            strict=True,
        )
    ]


def step_in_parts(
    optimizers: Sequence[tuple[Optimizer, Loss]],
    batch: Batch,
    progress: Progress,
    autocast: AbstractContextManager[object] | None,
    parts: int,
) -> LossTerms:
    """One iteration as `loop.step` does it, over parts of the batch. Returns the terms' means,
    detached.

    All losses of a part come before the next part, since a loss may use what the one before it has
    made (the maps that a discriminator sees); so all are of the weights before the step. Each is
    differentiated for the parameters of its own optimiser alone.
    """
    seen: LossTerms = {}
    for optimizer, _ in optimizers:
        optimizer.zero_grad()
    for part in divided(batch, parts):
        for optimizer, loss in optimizers:
            with autocast or nullcontext():
                terms = loss(part, progress)
            total = sum(term.weight * term.value.float() for term in terms.values())
            own = [p for group in optimizer.param_groups for p in group["params"]]
            (total / parts).backward(inputs=own)  # type: ignore[union-attr]
            for name, (value, weight) in terms.items():
                mean = value.detach() / parts
                seen[name] = Term(seen[name].value + mean if name in seen else mean, weight)
    for optimizer, _ in optimizers:
        optimizer.step()
    return seen
