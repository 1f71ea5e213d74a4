"""What is installed, what can be computed on, which data are there and whether splits leak."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_methods import project
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    from ssl_methods.config import Experiment

LEAST_FREE_GB = 2.0
SIGNS = {True: "ok  ", False: "FAIL", None: "    "}  # None: nobody asked


def doctor(files: list[Path], results: Path) -> int:
    """Print the state of this machine for the project.

    Args:
        files: experiments whose data must be there, with nothing on two sides of a split; without
            any, one line says which examples' data are.
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


def _asked_for(files: list[Path], results: Path) -> Iterator[tuple[bool | None, str]]:
    """Whether each experiment's data are there and can give its budgets, and whether the sides of
    its splits are apart."""
    from ssl_methods.config import load_experiment
    from ssl_methods.data.importers.registry import read_source
    from ssl_methods.data.splits import check_prepared

    for path in files:
        try:
            experiment = load_experiment(path)
            read_source(experiment.dataset)
            check_prepared(experiment, results)
            apart = list(_sides_apart(experiment, results))
        except UserError as error:
            yield from ((False, f"{path}: {line}") for line in str(error).splitlines())
        else:
            yield True, f"{path}: data are there"
            yield from ((fine, f"{path}: {line}") for fine, line in apart)


def _sides_apart(experiment: Experiment, results: Path) -> Iterator[tuple[bool | None, str]]:
    """A line for each leak of the splits: of every budget and subset, each with its test cases, as
    the data give them and as they lie in the experiment's folder. Nothing if it is not prepared."""
    from ssl_methods.config import budget_name
    from ssl_methods.data.leaks import half_labeled, leaks
    from ssl_methods.data.splits import Split, split_name, split_of
    from ssl_methods.data.store import Store, store_folder

    folder = store_folder(experiment.dataset, results)
    if not (folder / "manifest.json").is_file():
        return
    store, written = Store.open(folder), results / experiment.name / "splits"
    splits = {}
    for budget in experiment.budgets:
        for subset in experiment.subsets:
            split = split_of(experiment, store, budget, subset)
            splits[f"{budget_name(budget)}, subset {subset}"] = split
            file = written / split_name(budget, subset)
            if file.exists() and (found := Split.read(file)) != split:
                splits[str(file)] = found
                yield False, f"{file}: is of other data or settings than this; run 'split' again"
    faults = [f"{name}: {line}" for name, split in splits.items() for line in leaks(split, store)]
    yield from ((False, line) for line in faults)
    if not faults:
        yield True, f"no case, group or scan is on two sides of a split ({len(splits)} splits)"
    halves = {group for split in splits.values() for group in half_labeled(split, store)}
    if halves:
        named = ", ".join(f"'{group}'" for group in sorted(halves)[:5])
        more = f" and {len(halves) - 5} more" if len(halves) > 5 else ""
        yield (
            None,
            f"groups with labeled and unlabeled cases in one split: {named}{more}; budgets_count: "
            "patients labels whole groups",
        )


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
