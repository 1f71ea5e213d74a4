"""What is decided between the phases of an experiment: `choose`, `look`."""

from __future__ import annotations

import argparse

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs
from ssl_methods.errors import UserError


def add_choose(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "choose",
        choose,
        "choose the subsets that are compared in a second phase",
        ["choose my_experiment.yaml", "choose my_experiment.yaml --budget 4"],
    )
    verb.experiment(it)
    it.add_argument(
        "--budget",
        type=verb.budget,
        metavar="N",
        help="one of the declared budgets with two phases (default: each)",
    )
    verb.results(it)


def choose(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import choose, has_choice

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, None)
    if arguments.budget is not None:
        budgets = [arguments.budget]
    else:
        budgets = [it for it in experiment.budgets if has_choice(experiment, it)]
        if not budgets:
            raise UserError(f"{experiment.name}: declares no second phase: nothing is to be chosen")
    for budget in budgets:
        print(choose(experiment, budget, arguments.results))


def add_look(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "look",
        look,
        "judge an experiment at one of its declared looks",
        ["look my_experiment.yaml --budget 4 --subsets 8"],
    )
    verb.experiment(it)
    it.add_argument(
        "--budget", type=verb.budget, required=True, metavar="N", help="one of the declared budgets"
    )
    it.add_argument(
        "--subsets",
        type=verb.positive,
        metavar="N",
        help="number of compared subsets of a declared look (default: of the next one)",
    )
    verb.results(it)


def look(arguments: argparse.Namespace) -> None:
    from ssl_methods.analysis.looks import look, said
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import next_look
    from ssl_methods.files import read_json

    experiment = load_experiment(arguments.file)
    experiment.check_cell(arguments.budget, None)
    subsets = arguments.subsets or next_look(experiment, arguments.budget, arguments.results)
    path = look(experiment, arguments.budget, subsets, arguments.results)
    print(said(read_json(path)), path, sep="\n")
