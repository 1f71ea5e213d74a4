"""Completion of verbs, options and files in a shell: a script, so that no Python starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ssl_methods.cli.arguments import parser
from ssl_methods.methods import names

# As shtab.FILE and shtab.DIRECTORY, which each shell names otherwise.
_FILE = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}


def script(shell: str) -> str:
    """The script for bash, zsh or tcsh, to be put where the shell looks for completions."""
    import shtab

    top = parser()
    _prepare(top)
    text: str = shtab.complete(top, shell=shell)
    return text.rstrip("\n")


def _prepare(it: argparse.ArgumentParser) -> None:
    """Say of each argument what it may be, and leave former names out."""
    for action in list(it._actions):
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                _prepare(verb)
        elif action.help == argparse.SUPPRESS:
            it._remove_action(action)
            for option in action.option_strings:
                del it._option_string_actions[option]
        else:
            _say(action)


def _say(action: Any) -> None:
    if action.dest == "method" or (action.dest == "name" and not action.option_strings):
        action.choices = names()  # those of the package: what an experiment names is not known here
    elif action.type is Path:
        action.complete = _FILE
