"""`run` and `quickstart`: the project's Snakefile, from wherever the package is installed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_methods import project
from ssl_methods.cli.verb import PROGRAM, found

# With one of these the user has said otherwise what there is to use.
_SAYS_HOW_MANY = ("-c", "-j", "--jobs", "--local-cores", "--profile", "-e", "--executor")


def command(
    file: Path | None, cores: str | None, directory: Path, passed_on: Sequence[str]
) -> list[str]:
    """The Snakemake command line for an experiment or study; None is the quickstart.

    Raises UserError if the experiment is neither a file nor the name of one of the project's.
    """
    words = [sys.executable, "-m", "snakemake", *passed_on]
    if cores is not None or not any(_is_one_of(_SAYS_HOW_MANY, word) for word in passed_on):
        words += ["--cores", cores or "all"]
    words += ["--snakefile", str(project.FOLDER / "Snakefile"), "--directory", str(directory)]
    return words if file is None else [*words, "--configfile", str(found(file).resolve())]


def become(command: list[str]) -> None:
    """Replace this process by the command, so that signals and exit status are the command's."""
    from ssl_methods.watching.console import AS_TYPED

    os.environ[AS_TYPED] = shlex.join([PROGRAM, *sys.argv[1:]])
    sys.stdout.flush()
    os.execv(command[0], command)


def _is_one_of(options: Sequence[str], word: str) -> bool:
    return word.partition("=")[0] in options or word[:2] in ("-c", "-j")
