"""What is installed, what can be computed on, and which data are there."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ssl_methods import project
from ssl_methods.errors import UserError

LEAST_FREE_GB = 2.0
SIGNS = {True: "ok  ", False: "FAIL", None: "    "}  # None: nobody asked


def doctor(files: list[Path], results: Path) -> int:
    """Print the state of this machine for the project.

    Args:
        files: experiments whose data must be there; without any, one line says which examples'
            data are.
        results: where their prepared data are, if there are any.

    Returns:
        0 if all that is needed is there, else 1.
    """
    healthy = True
    data = _asked_for(files, results) if files else _examples()
    for check in (_packages(), _devices(), _disk(), data):
        for fine, line in check:
            healthy &= fine is not False
            print(f"{SIGNS[fine]}  {line}")
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
    from ssl_methods.devices.gpus import visible_gpus
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


def _asked_for(files: list[Path], results: Path) -> Iterator[tuple[bool, str]]:
    """Whether each experiment's data are there and can give its budgets, with a line."""
    from ssl_methods.config import load_experiment
    from ssl_methods.data.prepare import source_fingerprint
    from ssl_methods.data.splits import check_prepared

    for path in files:
        try:
            experiment = load_experiment(path)
            source_fingerprint(experiment.dataset)
            check_prepared(experiment, results)
        except UserError as error:
            yield from ((False, f"{path}: {line}") for line in str(error).splitlines())
        else:
            yield True, f"{path}: data are there"


def _examples() -> Iterator[tuple[None, str]]:
    """Nobody asked for these, so that none of them is missing."""
    from ssl_methods.config import load_experiment
    from ssl_methods.data.prepare import source_fingerprint

    there, absent = [], []
    for path in _declared():
        try:
            source_fingerprint(load_experiment(path).dataset)
            there.append(path.stem)
        except UserError:
            absent.append(path.stem)
    line = f"example experiments whose data are here: {', '.join(there) or 'none'}"
    yield None, line + (f"; elsewhere: {', '.join(absent)}" if absent else "")


def _declared() -> list[Path]:
    """The experiments below the working directory, else those of the project."""
    folders = [Path("configs", "experiments"), project.FOLDER / "configs" / "experiments"]
    return next((found for folder in folders if (found := sorted(folder.glob("*.yaml")))), [])
