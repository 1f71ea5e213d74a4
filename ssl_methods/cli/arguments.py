"""All verbs, and what a command line says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssl_methods import __version__
from ssl_methods.cli import (
    cases,
    experiment,
    installation,
    models,
    one_run,
    others,
    pages,
    phases,
    results,
    tuning,
)
from ssl_methods.cli.verb import PROGRAM, Parser
from ssl_methods.errors import UserError, did_you_mean

VERBS = [  # in the order of the help
    experiment.add_quickstart,
    experiment.add_run,
    experiment.add_plan,
    experiment.add_watch,
    cases.add_prepare,
    cases.add_split,
    phases.add_choose,
    phases.add_look,
    one_run.add_train,
    one_run.add_evaluate,
    results.add_collect,
    results.add_report,
    results.add_compare,
    tuning.add_tune,
    one_run.add_reproduce,
    models.add_predict,
    models.add_export,
    others.add_metrics,
    others.add_score,
    others.add_import_checkpoint,
    installation.add_methods,
    installation.add_doctor,
    installation.add_completion,
    pages.add_showcase,
    pages.add_schema,
    pages.add_reference,
]


def parser() -> Parser:
    """All verbs and their arguments."""
    top = Parser(
        prog=PROGRAM,
        description="Semi-supervised medical image segmentation methods, compared fairly.",
        epilog=f"'{PROGRAM} VERB --help' has examples. Start with '{PROGRAM} quickstart'.",
    )
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(metavar="VERB", required=True, title="verbs")
    for add in VERBS:
        add(verbs)
    return top


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """What a command line says; ``passed_on`` holds what is Snakemake's.

    Raises UserError for a verb or option that does not exist, with the nearest that does.
    """
    top = parser()
    check_verb(top, argv)
    arguments, unknown = top.parse_known_args(argv)
    if "passed_on" in arguments:
        arguments.passed_on = unknown
    elif unknown:
        raise UserError(_not_known(_verbs_of(top)[argv[0]], unknown[0]))
    return arguments


def check_verb(top: Parser, argv: Sequence[str]) -> None:
    """Raises UserError if the first word is no verb, with the nearest that is one."""
    if argv and not argv[0].startswith("-") and argv[0] not in (known := _verbs_of(top)):
        raise UserError(f"there is no verb '{argv[0]}'{did_you_mean(argv[0], known)}")


def _verbs_of(top: Parser) -> dict[str, argparse.ArgumentParser]:
    found = next(it for it in top._actions if isinstance(it, argparse._SubParsersAction))
    return dict(found.choices)


def _not_known(verb: argparse.ArgumentParser, word: str) -> str:
    """What to say of a word that no argument of the verb takes."""
    if not word.startswith("-"):
        return f"'{word}' is one word too many; see '{verb.prog} --help'"
    option = word.partition("=")[0]
    return f"there is no option '{option}'{did_you_mean(option, verb._option_string_actions)}"
