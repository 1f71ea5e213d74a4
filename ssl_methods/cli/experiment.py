"""The whole experiment: `quickstart`, `run`, `plan`, `watch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Parser, Verbs


def add_quickstart(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "quickstart",
        quickstart,
        "run a small experiment on generated scans, to its report; no data and no GPU needed",
        [
            "quickstart --cores 2",
            "quickstart -n",
            "quickstart --directory /tmp/first-look --config 'methods=[supervised,dtc]'",
        ],
        allow_abbrev=False,
    )
    _of_snakemake(it)


def quickstart(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli import workflow

    cores, directory = arguments.cores, arguments.directory
    workflow.become(workflow.command(None, cores, directory, arguments.passed_on))


def add_run(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "run",
        run,
        "run an experiment or a study: train, measure, tabulate and report what is not there yet",
        [
            "run my_experiment.yaml --cores 8 --resources gpu=2",
            "run hippocampus -n",
            "run my_experiment.yaml models --cores 8",
            "run my_study.yaml --cores 2",
        ],
        allow_abbrev=False,
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|STUDY.yaml",
        help="the experiment or study; or the name of an experiment that comes with the project",
    )
    _of_snakemake(it)


def run(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli import workflow

    cores, directory = arguments.cores, arguments.directory
    workflow.become(workflow.command(arguments.file, cores, directory, arguments.passed_on))


def _of_snakemake(it: Parser) -> None:
    """The options of the verbs that run Snakemake, which is given all others."""
    file = "EXPERIMENT.yaml|STUDY.yaml " if it._get_positional_actions() else ""
    it.usage = f"%(prog)s {file}[-h] [--cores N] [--directory DIR] [...]"
    it.set_defaults(passed_on=[])
    it.add_argument(
        "--cores",
        metavar="N",
        help="number of cores to use at a time (default: all of this machine)",
    )
    it.add_argument(
        "--directory",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder to work in: results/ is made there, and relative paths in the experiment are"
        " meant from there (default: the current one)",
    )
    it.epilog = (
        "Every other word is Snakemake's: -n shows what would run, --resources gpu=2 says how many"
        " GPUs\nto use, --config replaces settings. What is there already is not made again.\n\n"
        f"{it.epilog}"
    )


def add_plan(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "plan",
        plan,
        "say what is left to train, and how long it will take",
        [
            "plan my_experiment.yaml",
            "plan my_experiment.yaml --measure 10 --devices 2",
            "plan my_experiment.yaml --detect 2",
            "plan my_experiment.yaml --detect 2 --like results/left_atrium_small",
        ],
    )
    verb.experiment(it)
    it.add_argument(
        "--measure",
        type=verb.positive,
        default=0,
        metavar="N",
        help="train N iterations of each method whose speed is not known (default: %(default)s)",
    )
    it.add_argument(
        "--devices",
        type=verb.positive,
        default=1,
        metavar="N",
        help="number of runs that are trained at a time (default: %(default)s)",
    )
    it.add_argument(
        "--detect",
        type=verb.positive_number,
        metavar="D",
        help="say at each budget which difference can be told on how many subsets, and what a "
        "difference of D, in the unit of the margin, takes (default: not said)",
    )
    it.add_argument(
        "--like",
        type=Path,
        metavar="RESULTS/EXPERIMENT",
        help="with --detect: take the spread over subsets from this experiment's tables (default: "
        "from its own; where it has none, from a reference that is named)",
    )
    verb.results(it)


def plan(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.data.compared import compared_now
    from ssl_methods.data.splits import check_prepared
    from ssl_methods.methods import check_choice
    from ssl_methods.training.plan import lines, plan
    from ssl_methods.watching import words
    from ssl_methods.watching.sweep import Sweep

    experiment = load_experiment(arguments.file)
    for choice in experiment.methods.values():
        check_choice(choice, f"{arguments.file}: methods")
    check_prepared(experiment, arguments.results)
    rows = plan(experiment, arguments.results, arguments.measure)
    now = Sweep(experiment, arguments.results).now(arguments.devices)
    said = experiment.waiting(compared_now(experiment, arguments.results))
    said += lines(rows, experiment.name, arguments.devices)
    print(*said, f"{experiment.name}: all in all {words.left(now.left)}", sep="\n")
    if arguments.detect is not None:
        from ssl_methods.training.detect import detect

        print("\n".join(detect(experiment, arguments.results, arguments.detect, arguments.like)))


def add_watch(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "watch",
        watch,
        "show how far an experiment is while it runs, from the files that its runs write",
        [
            "watch quickstart",
            "watch my_experiment.yaml --html",
            "watch my_experiment.yaml --once",
        ],
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|NAME",
        help="the experiment; or its name, under which its results are in RESULTS",
    )
    it.add_argument(
        "--html",
        action="store_true",
        help="also write the curves of all runs to RESULTS/<experiment>/live.html, again and again",
    )
    it.add_argument("--once", action="store_true", help="show it as it is now, and end")
    verb.results(it)


def watch(arguments: argparse.Namespace) -> None:
    from ssl_methods.config import load_experiment
    from ssl_methods.watching.sweep import Sweep
    from ssl_methods.watching.terminal import watch

    named = arguments.results / arguments.file.name / "experiment.yaml"
    experiment = load_experiment(named if named.is_file() else verb.found(arguments.file))
    # As it is run: what the command line of the workflow replaced is replaced in there.
    as_run = arguments.results / experiment.name / "experiment.yaml"
    if as_run.is_file():
        experiment = load_experiment(as_run)
    watch(Sweep(experiment, arguments.results), once=arguments.once, html=arguments.html)
