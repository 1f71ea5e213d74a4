"""What is installed, what can be computed on, and which data are there."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ssl_methods.errors import UserError

LEAST_FREE_GB = 2.0


def doctor(required: list[Path]) -> int:
    """Print the state of this machine for the project.

    Args:
        required: experiment files whose data must be there; the others in configs/ are only shown.

    Returns:
        0 if all that is needed is there, else 1.
    """
    healthy = True
    for check in (_packages(), _devices(), _disk(), _data(required)):
        for fine, line in check:
            healthy &= fine
            print(f"{'ok ' if fine else 'NOT'}  {line}")
    return 0 if healthy else 1


def _packages() -> Iterator[tuple[bool, str]]:
    from packaging.requirements import Requirement

    yield True, f"python {platform.python_version()}"
    try:
        needed = [Requirement(line) for line in requires("ssl-methods") or []]
    except PackageNotFoundError:
        yield False, "ssl-methods is not installed: pip install -e ."
        return
    for need in needed:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            yield False, f"{need.name} is not installed (needed: {need})"
            continue
        fine = need.specifier.contains(found, prereleases=True)
        yield fine, f"{need.name} {found}" + ("" if fine else f" (needed: {need})")


def _devices() -> Iterator[tuple[bool, str]]:
    from ssl_methods.devices import visible_gpus
    from ssl_methods.devices.leases import holders

    gpus = visible_gpus()
    if not gpus:
        yield True, "no GPU is visible: runs compute on the CPU"
        return
    import torch

    usable = torch.cuda.is_available()
    problem = "" if usable else f", but this PyTorch ({torch.__version__}) cannot use it"
    for gpu in gpus:
        there = holders(gpu)
        slots = min((holder.runs_per_gpu for holder in there.values()), default=0)
        yield (
            usable,
            f"GPU {gpu}: {f'{len(there)} of {slots} slots held' if there else 'free'}{problem}",
        )
        for slot, holder in there.items():
            yield True, f"    slot {slot}: {holder}"


def _disk() -> Iterator[tuple[bool, str]]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield free >= LEAST_FREE_GB, f"{free:.0f} GB free in {Path.cwd()}"


def _data(required: list[Path]) -> Iterator[tuple[bool, str]]:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.prepare import source_fingerprint

    for path in [*required, *(path for path in _declared() if path not in required)]:
        try:
            source_fingerprint(load_experiment(path).dataset)
        except UserError as error:
            yield path not in required, f"{path}: not ready ({error})"
        else:
            yield True, f"{path}: data are there"


def _declared() -> list[Path]:
    """The experiments below the working directory, else those beside the package."""
    folders = [
        Path("configs", "experiments"),
        Path(__file__).parent.parent / "configs" / "experiments",
    ]
    return next((found for folder in folders if (found := sorted(folder.glob("*.yaml")))), [])
