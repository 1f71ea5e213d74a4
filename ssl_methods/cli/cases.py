"""Cases, before anything is trained: `prepare`, `split`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl_methods.config import Dataset


def add_prepare(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "prepare",
        prepare,
        "import the scans of an experiment, or of one dataset",
        ["prepare my_experiment.yaml --workers 4"],
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|DATASET.yaml",
        help="an experiment, or a file that holds a dataset alone, as those of configs/datasets/",
    )
    it.add_argument(
        "--workers",
        type=verb.positive,
        default=1,
        metavar="N",
        help="number of cases that are read at a time (default: %(default)s)",
    )
    verb.results(it, formerly="--out")


def prepare(arguments: argparse.Namespace) -> None:
    from ssl_methods.data.prepare import prepare
    from ssl_methods.data.store import Store
    from ssl_methods.data.summary import shown

    dataset, patch = _dataset(arguments.file)
    folder = prepare(dataset, arguments.results, workers=arguments.workers)
    print(shown(Store.open(folder), patch))
    print(folder)


def _dataset(path: Path) -> tuple[Dataset, Sequence[int] | None]:
    """The dataset of an experiment, and its patch; or of a file that holds a dataset alone (key
    'importer')."""
    from ssl_methods.config import load_dataset, load_experiment, read_yaml

    if "importer" in read_yaml(path):
        return load_dataset(path), None
    experiment = load_experiment(path)
    return experiment.dataset, experiment.training.patch_size


def add_split(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "split",
        split,
        "draw which cases are labeled, for the whole grid or one cell",
        ["split my_experiment.yaml", "split my_experiment.yaml --budget 4 --subset 0"],
    )
    verb.experiment(it)
    it.add_argument(
        "--budget",
        type=verb.budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all' (default: each)",
    )
    it.add_argument(
        "--subset", type=int, metavar="I", help="one of the declared subsets (default: each)"
    )
    verb.results(it, formerly="--out")


def split(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.inputs import open_store
    from ssl_methods.data.splits import write_splits

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, arguments.subset)
    store = open_store(experiment.dataset, arguments.results, make=True)
    for path in write_splits(
        experiment, store, arguments.results, arguments.budget, arguments.subset
    ):
        print(path)
