"""From measurements to what is read: `collect`, `report`, `compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs


def add_collect(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "collect",
        collect,
        "gather the measurements of all runs into tables",
        ["collect my_experiment.yaml"],
    )
    verb.experiment(it)
    verb.results(it, formerly="--out")


def collect(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.collect import collect
    from ssl_methods.config import load_experiment
    from ssl_methods.progress import reported

    experiment = load_experiment(arguments.file)
    folder = arguments.results / experiment.name
    with reported(folder, "collect"):
        collect(experiment, arguments.results)
    print(folder / "tables")


def add_report(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "report",
        report,
        "draw the figures and write report.html",
        ["report my_experiment.yaml"],
    )
    verb.experiment(it)
    verb.results(it, formerly="--out")


def report(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.progress import reported
    from ssl_methods.reporting.report import report

    experiment = load_experiment(arguments.file)
    with reported(arguments.results / experiment.name, "report"):
        written = report(experiment, arguments.results)
    print(written)


def add_compare(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "compare",
        compare,
        "show what the one setting changes in which two experiments differ, run by run",
        [
            "compare my_experiment.yaml my_experiment_in_float32.yaml",
            "compare raw_tiles.yaml normalised_tiles.yaml --groups",
        ],
    )
    it.add_argument(
        "first", type=Path, metavar="A.yaml", help="an experiment whose tables are made"
    )
    it.add_argument(
        "second", type=Path, metavar="B.yaml", help="another, which differs from it in one setting"
    )
    it.add_argument(
        "--groups",
        action="store_true",
        help="also for each group of test cases: what stands before the first '-' of their ids",
    )
    verb.results(it)


def compare(arguments: argparse.Namespace) -> None:
    from ssl_methods.reporting.compare import compare

    print(compare(arguments.first, arguments.second, arguments.results, arguments.groups))
