"""How a verb is declared, and the arguments that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from ssl_methods.errors import UserError

PROGRAM = "ssl-methods"
A_RUN = "results/quickstart/runs/dtc/labeled-4/subset-0/seed-0"
"""The run of which examples speak."""

Action = Callable[[argparse.Namespace], int | None]
Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"
"""To which each verb is added, in the order of the help."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help shows examples as they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see '{self.prog} --help'\n")


def add(
    verbs: Verbs,
    name: str,
    action: Action,
    meaning: str,
    examples: Sequence[str],
    **options: Any,
) -> Parser:
    """The verb's parser, for its arguments; a test reads each example as a command line."""
    shown = "\n".join(f"  {PROGRAM} {example}" for example in examples)
    added = verbs.add_parser(
        name,
        help=meaning,
        description=meaning[0].upper() + meaning[1:] + ".",
        epilog=f"examples:\n{shown}",
        **options,
    )
    added.set_defaults(verb=action)
    return added


# ---- arguments of several verbs ------------------------------------------------------------------


def experiment(it: Parser) -> None:
    it.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT.yaml",
        help="the experiment, as those of configs/experiments/",
    )


def results(it: Parser, formerly: str | None = None) -> None:
    """``--results``; under its former name too, where that was documented."""
    it.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder that holds all results (default: %(default)s)",
    )
    if formerly:
        it.add_argument(
            formerly,
            dest="results",
            type=Path,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )


def own_methods(it: argparse.ArgumentParser, **default: Any) -> None:
    it.add_argument(
        "--method-module",
        type=Path,
        action="append",
        metavar="FILE.py",
        help="a method of one's own; may be given several times (default: none)",
        **default,
    )


def own_metrics(it: argparse.ArgumentParser, given: str = "FILE.py") -> None:
    it.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar=given,
        help="a metric beside the built-in ones; may be given several times (default: none)",
    )


def register(arguments: argparse.Namespace) -> None:
    """The methods and metrics of one's own that the command names."""
    from ssl_methods.measures import name_metrics
    from ssl_methods.methods import register

    for file in arguments.method_module or []:
        register(file)
    name_metrics(getattr(arguments, "metric", []))


def found(file: Path) -> Path:
    """The file, or the one of that name that comes with the project. Raises UserError for none."""
    from ssl_methods.config.yaml_files import find_config

    if file.is_file():
        return file
    if file.suffix or len(file.parts) > 1:
        raise UserError(f"{file}: no such file")
    return find_config("experiments", file.name)


# ---- what a word may be --------------------------------------------------------------------------


def positive(text: str) -> int:
    if not text.isdecimal() or len(text) > 6 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to 999999")
    return int(text)


def positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return value


def budget(text: str) -> int | float:
    from ssl_methods.config import parse_budget

    try:
        return parse_budget(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
