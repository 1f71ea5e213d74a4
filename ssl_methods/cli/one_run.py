"""One run of an experiment: `train`, `evaluate`, and `reproduce`, which does both again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_methods.cli import verb
from ssl_methods.cli.verb import A_RUN, Parser, Verbs
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    from ssl_methods.config import Run


def add_train(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "train",
        train,
        "train one run of an experiment, or an earlier run once more",
        [
            "train my_experiment.yaml --method dtc --budget 4",
            "train my_experiment.yaml --method mine --budget all --method-module mine.py",
            f"train {A_RUN}/run.yaml --out once_more",
        ],
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml",
        help="an experiment, whose run --method and --budget name; or the run.yaml of a run",
    )
    _cell(it)
    it.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: RESULTS/<experiment>/runs/...; needed with a RUN.yaml)",
    )
    verb.results(it)
    verb.own_methods(it)


def train(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import check_choice, named_by_the_user

    verb.register(arguments)
    run, declared = _run(arguments)
    if not declared:
        if arguments.out is None:
            raise UserError(
                "training an earlier run once more needs --out DIR, a folder of its own"
            )
        choice = named_by_the_user(run.choice, str(arguments.file))
        run = run.model_copy(update={"choice": choice})
    check_choice(run.choice, str(arguments.file))
    from ssl_methods.training.train import train

    out = arguments.out or arguments.results / run.folder
    train(run, arguments.results, out)
    print(out)


def add_evaluate(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "evaluate",
        evaluate,
        "measure a trained run on the test cases",
        [
            f"evaluate {A_RUN}",
            "evaluate my_experiment.yaml --method dtc --budget 4 --subset 1",
            f"evaluate {A_RUN} --metric surface_dice_2mm.py",
        ],
    )
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml|RUN.yaml|RUN_FOLDER",
        help="an experiment, whose run --method and --budget name; or a run's run.yaml or folder",
    )
    _cell(it)
    it.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the measurements (default: the run's)"
    )
    verb.results(it)
    verb.own_methods(it)
    verb.own_metrics(it)


def evaluate(arguments: argparse.Namespace) -> None:
    verb.register(arguments)
    folder, run = arguments.file, None
    if not folder.is_dir():
        run, declared = _run(arguments)
        folder = arguments.results / run.folder if declared else folder.parent
        if declared:  # the experiment is the user's own file, and so are the methods it names
            from ssl_methods.methods import check_choice

            check_choice(run.choice, str(arguments.file))
    from ssl_methods.evaluation.evaluate import evaluate

    evaluate(folder, arguments.results, arguments.out, run)
    print(arguments.out or folder)


def add_reproduce(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "reproduce",
        reproduce,
        "train a run again, and say whether its results are the same",
        [f"reproduce {A_RUN}/run.yaml"],
    )
    it.add_argument("file", type=Path, metavar="RUN.yaml", help="the run.yaml of a trained run")
    it.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the second run (default: a temporary one)",
    )
    verb.results(it)
    verb.own_methods(it)
    verb.own_metrics(it)


def reproduce(arguments: argparse.Namespace) -> int:
    verb.register(arguments)
    from ssl_methods.training.reproduce import reproduce

    return 0 if reproduce(arguments.file, arguments.results, arguments.out) else 1


def _cell(it: Parser) -> None:
    it.add_argument(
        "--method",
        metavar="NAME",
        help="the row's name under 'methods' in the experiment (needed with an experiment)",
    )
    it.add_argument(
        "--budget",
        type=verb.budget,
        metavar="N",
        help="one of the declared budgets: a count, a fraction or 'all' (needed with an"
        " experiment)",
    )
    it.add_argument(
        "--subset",
        type=int,
        default=0,
        metavar="I",
        help="one of the declared subsets (default: %(default)s)",
    )
    it.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="J",
        help="one of the declared seeds (default: %(default)s)",
    )


def _run(arguments: argparse.Namespace) -> tuple[Run, bool]:
    """The run that the arguments name, and whether it is a cell of an experiment's grid."""
    from ssl_methods.config import declared_run, load_experiment, read_yaml

    if "choice" in (recorded := read_yaml(arguments.file)):
        if arguments.method is not None or arguments.budget is not None:
            raise UserError(
                f"{arguments.file}: is one run; --method and --budget go with an experiment"
            )
        from ssl_methods.methods import named_by_the_user

        run = declared_run(recorded, arguments.file)
        named_by_the_user(run.choice, str(arguments.file))
        return run, False
    experiment = load_experiment(arguments.file)
    for name in ("method", "budget"):
        if getattr(arguments, name) is None:
            raise UserError(
                f"{arguments.file}: is an experiment; say which run with --method and --budget"
            )
    return experiment.declared_run(
        arguments.method, arguments.budget, arguments.subset, arguments.seed
    ), True
