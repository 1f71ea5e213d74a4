"""What the checks are made of: small methods, batches quickly learnt, runs on generated cases."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_methods import methods
from ssl_methods.batch import Batch, LossTerms, Progress
from ssl_methods.checks.check import need
from ssl_methods.config import NetworkConfig, Run, TrainingConfig, load_experiment
from ssl_methods.data.prepare import prepare
from ssl_methods.data.store import Store, store_folder
from ssl_methods.errors import UserError
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Method
from ssl_methods.networks.encoder_decoder import EncoderDecoder
from ssl_methods.networks.from_monai import MonaiNetwork
from ssl_methods.training.loop import step

SIZE = 16  # voxels a side
NETWORKS = (EncoderDecoder, MonaiNetwork)


def recipes(name: str) -> list[str]:
    """Both, if they differ."""
    differ = methods.method_class(name).Config.as_released
    return ["unified", "as_released"] if differ else ["unified"]


@cache
def levels(name: str) -> int:
    """The fewest resolutions with which the method can be made."""
    for levels in range(2, 5):
        try:
            methods.create(name, network=NetworkConfig(width=2, levels=levels))
        except UserError:
            continue
        return levels
    return 5


def make(
    name: str,
    *,
    seed: int = 0,
    classes: int = 1,
    dimensions: int = 3,
    dropout: float = 0.5,
    exclusive: bool = False,
    **settings: Any,
) -> Method:
    """A method as it is before training."""
    network = NetworkConfig(width=2, levels=levels(name), dropout=dropout)
    network = network.model_copy(update={"classes": "exclusive"}) if exclusive else network
    torch.manual_seed(seed)  # after the levels, the first question for which makes networks
    method = methods.create(
        name, network=network, classes=classes, dimensions=dimensions, **settings
    )
    cases = make_batch(classes=classes, dimensions=dimensions, exclusive=exclusive)
    method.before_training(list(cases.labels))
    return method


def make_batch(
    seed: int = 0,
    *,
    unlabeled: int = 2,
    classes: int = 1,
    dimensions: int = 3,
    exclusive: bool = False,
) -> Batch:
    """Noise with one bright box per class, the brighter the higher the class: quickly learnt.

    Of exclusive classes a voxel in several boxes is of the highest class alone.
    """
    generator = torch.Generator().manual_seed(seed)
    space = (SIZE,) * dimensions
    labels = torch.zeros(2 + unlabeled, classes, *space)
    for mask in labels.flatten(0, 1):
        corner = torch.randint(1, 4, (dimensions,), generator=generator).tolist()
        mask[tuple(slice(start, start + 12) for start in corner)] = 1
    for lower in range(classes - 1 if exclusive else 0):
        labels[:, lower] *= 1 - labels[:, lower + 1 :].amax(1)
    brightness = torch.arange(2.0, 2 * classes + 1, 2).view(-1, *[1] * dimensions)
    noise = 0.5 * torch.randn(2 + unlabeled, 1, *space, generator=generator)
    images = (brightness * labels).sum(1, keepdim=True) + noise
    distances = [signed_distance(mask.numpy()) for mask in labels[:2].flatten(0, 1)]
    level_sets = torch.from_numpy(np.stack(distances)).view(2, classes, *space)
    return Batch(images[:2], labels[:2], images[2:], level_sets)


def run(
    method: Method,
    batch: Batch,
    iterations: int = 4,
    rate: float = 0.1,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
) -> Method:
    """Train on one batch, through all stages that the method may have; every term is finite."""
    optimizers = method.optimizers(TrainingConfig(iterations=iterations, learning_rate=rate))
    autocast = torch.autocast("cpu", precision, enabled=precision != torch.float32)
    torch.manual_seed(seed)
    method.train()
    for t in range(iterations):
        terms = step(optimizers, given(method, batch), Progress(t, iterations), autocast)
        method.after_step(Progress(t, iterations))
        check_terms(terms, f" at iteration {t + 1} of {iterations}")
    return method


def given(method: Method, batch: Batch) -> Batch:
    """The batch with what the method asks for alone, as in training."""
    if not method.uses_unlabeled:
        batch = replace(batch, unlabeled_images=batch.unlabeled_images[:0])
    return batch if "level_set" in method.targets else replace(batch, level_sets=None)


def networks_of(method: Method) -> list[nn.Module]:
    """What ``make_network`` made, those of teachers included."""
    return [module for module in method.modules() if isinstance(module, NETWORKS)]


@contextmanager
def amplified(method: Method, factor: float) -> Iterator[None]:
    """Every output of a network times ``factor``: probabilities of 0 and 1."""

    def scale(module: nn.Module, inputs: Any, outputs: Any) -> Any:
        return type(outputs)(output * factor for output in outputs)

    hooks = [network.register_forward_hook(scale) for network in networks_of(method)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def recorded(method: Method) -> Iterator[dict[nn.Module, list[list[Tensor]]]]:
    """The outputs of each pass, by network."""
    passes: dict[nn.Module, list[list[Tensor]]] = {}

    def keep(module: nn.Module, inputs: Any, outputs: Any) -> None:
        passes.setdefault(module, []).append([*outputs])

    hooks = [network.register_forward_hook(keep) for network in networks_of(method)]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def check_terms(terms: LossTerms, where: str = "") -> None:
    for name, term in terms.items():
        need(bool(term.value.isfinite()), f"term '{name}' is {float(term.value.detach())}{where}")
        need(math.isfinite(term.weight), f"the weight of '{name}' is {term.weight}{where}")


def without_batch_statistics(method: Method) -> Method:
    """Put it in training mode, dropout included, but let no image of a batch affect another."""
    method.train()
    for module in method.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return method


def gradients(method: Method) -> Tensor:
    """Gradients of all networks: of two, a step may teach the one or the other."""
    networks = dict.fromkeys([method.network, *networks_of(method)])
    parameters = [p for network in networks for p in network.parameters()]
    found = [p.grad.flatten() for p in parameters if p.grad is not None]
    need(bool(found), "no parameter of a network has a gradient")
    return torch.cat(found)


def same(left: Any, right: Any) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(left, Tensor):
        return left.shape == right.shape and bool((left == right).all())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


CASES = {
    "name": "check",
    "importer": "phantom",
    "shape": [18, 20, 16],
    "train_cases": 6,
    "test_cases": 1,
}


@cache
def _prepared() -> tempfile.TemporaryDirectory[str]:
    """A folder of results with the generated cases, prepared once in a process; gone at its end."""
    folder = tempfile.TemporaryDirectory()
    dataset = load_experiment(_declared("supervised", 2, {})).dataset
    prepare(dataset, Path(folder.name))
    return folder


def _declared(name: str, levels: int, training: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "check",
        "dataset": CASES,
        "methods": [name],
        "budgets": [2],
        "network": {"width": 2, "levels": levels},
        "training": {"patch_size": [SIZE] * 3, "device": "cpu", **training},
    }


@contextmanager
def tiny_run(name: str, **training: Any) -> Iterator[tuple[Run, Path, Store]]:
    """A run on generated cases, a folder of results of its own, and the prepared store."""
    declared = load_experiment(_declared(name, levels(name), training))
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        shutil.copytree(_prepared().name, results)
        store = Store.open(store_folder(declared.dataset, results))
        yield declared.run(name, 2, 0, 0), results, store
