"""Studies: `tune`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs


def add_tune(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "tune",
        tune,
        "search the settings of methods, as a study declares it",
        [
            "tune my_study.yaml",
            "tune my_experiment.yaml --study k_and_lambda --part answers",
        ],
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="STUDY.yaml|EXPERIMENT.yaml",
        help="a study, or an experiment that declares some",
    )
    it.add_argument(
        "--study", metavar="NAME", help="one of those that the experiment declares (default: each)"
    )
    it.add_argument(
        "--part",
        choices=["layout", "work", "answers"],
        help="lay out the trials, or run them as one of several workers, or write what was found"
        " (default: all three, with one worker)",
    )
    verb.results(it)


def tune(arguments: argparse.Namespace) -> None:
    from ssl_methods.tuning.study import choose, load_studies

    studies = choose(load_studies(arguments.file), arguments.study, str(arguments.file))
    from ssl_methods.tuning.worker import lay_out, work

    for study in studies:
        if arguments.part in (None, "layout"):
            lay_out(study, arguments.results)
        if arguments.part in (None, "work"):
            work(study, arguments.results)
        folder = arguments.results / study.folder
        if arguments.part in (None, "answers"):
            from ssl_methods.tuning.answers import answer

            answer(study, arguments.results)
        print(folder)
