"""What is installed: `methods`, `doctor`, `completion`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from ssl_methods.cli import verb
from ssl_methods.cli.verb import Verbs


def add_methods(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "methods",
        methods,
        "list the methods and their settings",
        [
            "methods",
            "methods check dtc",
            "methods check mine --method-module mine.py",
        ],
    )
    it.add_argument("--json", action="store_true", help="print them as JSON, with every setting")
    verb.own_methods(it)
    more = it.add_subparsers(metavar="check")
    it = more.add_parser("check", help="go through the properties that a method must have")
    it.add_argument("name", metavar="NAME", help="name of the method, which is that of its file")
    verb.own_methods(it, default=argparse.SUPPRESS)
    it.set_defaults(verb=check)


def methods(arguments: argparse.Namespace) -> None:
    from ssl_methods.methods import describe

    verb.register(arguments)
    listing = describe()
    if arguments.json:
        print(json.dumps(listing, indent=1))
    else:
        width = max(len(method["name"]) for method in listing)
        for method in listing:
            print(f"{method['name']:{width}} {method['summary']}")


def check(arguments: argparse.Namespace) -> int:
    from ssl_methods.checks import check_method

    verb.register(arguments)
    log = logging.getLogger("ssl_methods")  # training says more than a line per check
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return 0 if check_method(arguments.name) else 1
    finally:
        log.setLevel(level)


def add_doctor(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "doctor",
        doctor,
        "check the installation, the devices and the data",
        ["doctor", "doctor my_experiment.yaml"],
    )
    it.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="EXPERIMENT.yaml",
        help="experiments whose data must be there, with no case, patient or scan on two sides "
        "of a split (default: they are listed, and none must be)",
    )
    verb.results(it)


def doctor(arguments: argparse.Namespace) -> int:
    from ssl_methods.doctor import doctor

    return doctor(arguments.files, arguments.results)


def add_completion(verbs: Verbs) -> None:
    it = verb.add(
        verbs,
        "completion",
        completion,
        "print what completes these words in a shell",
        [
            "completion bash > ~/.local/share/bash-completion/completions/ssl-methods",
            "completion zsh > ~/.zfunc/_ssl-methods",
        ],
    )
    it.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="the shell that is to complete")


def completion(arguments: argparse.Namespace) -> None:
    from ssl_methods.cli.completion import script

    print(script(arguments.shell))
