"""What a precision does to the gradient of every loss term, against float64.

For each method and term: the cosine with the float64 gradient of the parameters that the term
trains, and the relative error |g - g64| / |g64|, after 5, 40 and 400 steps of a training of 400 on
generated scans. The same weights, patches and random draws in every precision; of several batches
the worst counts. bfloat16 is PyTorch's autocast, with the heads in it or in float32. TF32 is real
on a GPU; on a CPU what convolutions and products are given, gradients included, is rounded to 10
bits of mantissa. `enough`: the fastest precision whose cosine is at least 0.99.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.same_draws import SameDraws
from benchmarks.timing import show
from ssl_methods import methods
from ssl_methods.batch import Batch, Progress
from ssl_methods.config import NetworkConfig, TrainingConfig
from ssl_methods.data.importers.phantom import PhantomDataset
from ssl_methods.data.prepare import prepare
from ssl_methods.data.sampling import Sampler
from ssl_methods.data.store import Store, store_folder
from ssl_methods.devices import precision
from ssl_methods.devices.placement import place
from ssl_methods.files import read_json, write_text
from ssl_methods.methods.base import Method
from ssl_methods.training.loop import step

ENOUGH = 0.99  # cosine
PRECISIONS = ("float32", "TF32", "bfloat16, heads float32", "bfloat16")
ATEN = torch.ops.aten


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    scans: tuple[int, ...]
    patch: tuple[int, ...]
    width: int
    levels: int
    after: tuple[int, ...]  # steps; the last is the length of the training
    batches: int


FULL = Scale((28, 30, 24), (24, 24, 16), 4, 4, (5, 40, 400), 2)
TINY = Scale((18, 20, 16), (16, 16, 16), 2, 3, (1, 3), 1)


# ---- the precisions ------------------------------------------------------------------------------


class RoundedProducts(TorchDispatchMode):
    """What convolutions and matrix products are given has 10 bits of mantissa, as TF32 has."""

    ROUNDED = (
        ATEN.convolution, ATEN.convolution_backward, ATEN.mm, ATEN.bmm, ATEN.addmm, ATEN.baddbmm,
    )  # fmt: skip

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func.overloadpacket in self.ROUNDED:
            args = [tf32_rounded(it) if isinstance(it, Tensor) else it for it in args]
        return func(*args, **(kwargs or {}))


def tf32_rounded(x: Tensor) -> Tensor:
    """float32 to the nearest value with 10 bits of mantissa, ties away from zero; else as it is."""
    if x.dtype != torch.float32:
        return x
    return ((x.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


@contextmanager
def in_float64() -> Iterator[None]:
    """Casts to float32 are to float64."""
    with patch.object(Tensor, "float", Tensor.double):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


@contextmanager
def heads(method: Method, in_float32: bool) -> Iterator[None]:
    """The 1x1 convolutions to logits outside autocast, or (as they are) within."""
    kept: list[nn.Module] = []
    for module in method.modules():
        if in_float32 and is_head(module):
            forward = module.forward

            def exact(x: Tensor, forward: Callable[[Tensor], Tensor] = forward) -> Tensor:
                with torch.autocast(x.device.type, enabled=False):
                    return forward(x.float())

            module.forward = exact  # type: ignore[method-assign]
            kept.append(module)
    try:
        yield
    finally:
        for module in kept:
            del module.forward


def is_head(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Conv3d) and set(module.kernel_size) == {1}


# ---- gradients -----------------------------------------------------------------------------------


def gradients(
    method: Method,
    training: TrainingConfig,
    batch: Batch,
    progress: Progress,
    device: torch.device,
    name: str,
) -> dict[str, Tensor]:
    """Of each term, all parameters that it trains in one float64 vector on the CPU."""
    method, found = copy.deepcopy(method), {}
    torch.manual_seed(1)
    with ExitStack() as stack:
        stack.enter_context(SameDraws())
        cast: AbstractContextManager[object] = nullcontext()
        if name == "float64":
            stack.enter_context(in_float64())
            method.double()
            batch = Batch(*(it if it is None else it.double() for it in vars(batch).values()))
        elif name == "TF32" and device.type == "cpu":
            stack.enter_context(RoundedProducts())
        elif name.startswith("bfloat16"):
            cast = precision.autocast("bfloat16", device)
        stack.enter_context(heads(method, name.endswith("heads float32")))
        stack.enter_context(precision.tf32(name == "TF32"))
        for optimizer, loss in method.optimizers(training):
            trained = [p for group in optimizer.param_groups for p in group["params"]]
            with cast:
                terms = loss(batch, progress)
            for title, term in terms.items():
                if term.value.requires_grad:
                    each = torch.autograd.grad(
                        term.value, trained, retain_graph=True, allow_unused=True
                    )
                    parts = [
                        (torch.zeros_like(p) if g is None else g).to("cpu", torch.float64).flatten()
                        for g, p in zip(each, trained, strict=True)
                    ]
                    found[title] = torch.cat(parts)
    return found


def compared(found: Tensor, exact: Tensor) -> tuple[float, float]:
    """Cosine and relative error; -1 and infinity if the gradient is not finite."""
    if not found.isfinite().all():
        return -1.0, float("inf")
    cosine = torch.nn.functional.cosine_similarity(found, exact, dim=0, eps=1e-300)
    return float(cosine), float((found - exact).norm() / exact.norm())


# ---- the measurement -----------------------------------------------------------------------------


def measure(name: str, scale: Scale, store: Store, device: torch.device) -> list[dict[str, Any]]:
    """Rows of one method: a training in float32, stopped where gradients are compared."""
    torch.manual_seed(0)
    ids, total = store.ids("train"), scale.after[-1]
    training = TrainingConfig(patch_size=scale.patch, iterations=total)
    network = NetworkConfig(width=scale.width, levels=scale.levels)
    fields = methods.method_class(name).Config.model_fields
    settings = {"scales": scale.levels - 1} if "scales" in fields else {}
    method = methods.create(name, network=network, **settings)
    method = place(method, scale.patch, device).train()
    sampler = Sampler(store, ids[:4], ids[4:], training, 0, method.targets, device)
    optimizers, rows = method.optimizers(training), []
    with precision.tf32(False):
        for t in range(total + 1):
            progress = Progress(min(t, total - 1), total)
            if t in scale.after:
                state = torch.get_rng_state()
                batches = [sampler.batch(total + i) for i in range(scale.batches)]
                rows += at(method, training, batches, progress, device, name, t)
                torch.set_rng_state(state)
            if t < total:
                step(optimizers, sampler.batch(t), progress)
                method.after_step(progress)
    return rows


def at(
    method: Method,
    training: TrainingConfig,
    batches: list[Batch],
    progress: Progress,
    device: torch.device,
    name: str,
    after: int,
) -> list[dict[str, Any]]:
    """A row per term: the worst of the batches."""
    seen: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for batch in batches:
        exact = gradients(method, training, batch, progress, device, "float64")
        for kind in PRECISIONS:
            found = gradients(method, training, batch, progress, device, kind)
            for term, expected in exact.items():
                if float(expected.norm()) > 0:
                    pair = compared(found[term], expected)
                    seen.setdefault(term, {}).setdefault(kind, []).append(pair)
    rows = []
    for term, by_kind in seen.items():
        cosines = {kind: min(cosine for cosine, _ in found) for kind, found in by_kind.items()}
        errors = {kind: max(e for _, e in found) for kind, found in by_kind.items()}
        rows.append(
            {"method": name, "term": term, "after": after}
            | {f"{kind}: cosine": cosines[kind] for kind in PRECISIONS}
            | {f"{kind}: error": errors[kind] for kind in PRECISIONS}
            | {"enough": enough(cosines)}
        )
        print(name, term, after, rows[-1]["enough"], flush=True)
    return rows


def enough(cosines: Mapping[str, float]) -> str:
    """The fastest precision that keeps the gradient's direction; float32 where none does."""
    return next((it for it in reversed(PRECISIONS) if cosines[it] >= ENOUGH), "float32")


def complete(rows: list[dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """By method in the order of the names; one that was not measured has a row that says so."""
    columns = [f"{kind}: {what}" for what in ("cosine", "error") for kind in PRECISIONS]
    gap = dict.fromkeys(["term", "after", *columns, "enough"])
    found = {name: [row for row in rows if row["method"] == name] for name in names}
    return [row for name, own in found.items() for row in own or [{"method": name} | gap]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--tiny", action="store_true", help="seconds, for a test")
    parser.add_argument("--methods", nargs="+", help="only these; a file's rows of others stay")
    options = parser.parse_args()
    scale = TINY if options.tiny else FULL
    trained = [name for name in methods.names() if methods.method_class(name).role == "method"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    chosen = options.methods or trained
    kept = read_json(options.json) if options.json and options.json.exists() else []
    rows = [row for row in kept if row["term"] and row["method"] not in chosen]
    with tempfile.TemporaryDirectory() as folder:
        scans = PhantomDataset(
            name="precision", importer="phantom", shape=scale.scans, train_cases=12, test_cases=1
        )
        prepare(scans, Path(folder))
        store = Store.open(store_folder(scans, Path(folder)))
        for name in chosen:
            rows += measure(name, scale, store, device)
            if options.json:  # after each, so that what was measured is not lost
                write_text(options.json, json.dumps(complete(rows, trained), indent=1) + "\n")
    show(complete(rows, trained), None)


if __name__ == "__main__":
    main()
