"""Every check by its name, which of them concern a method, and what they found."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssl_methods import methods
from ssl_methods.checks import documentation, learning, runs, settings
from ssl_methods.checks.check import Broken, Check

if TYPE_CHECKING:
    import pytest

CHECKS: dict[str, Check] = {
    title: it
    for properties in (learning, settings, runs, documentation)
    for title, it in vars(properties).items()
    if isinstance(it, Check)
}


def checks_of(name: str) -> list[str]:
    """The checks that concern a method."""
    kind = methods.method_class(name)
    return [title for title, check in CHECKS.items() if check.concerns(kind)]


def parametrize(chosen: Sequence[str | Path]) -> pytest.MarkDecorator:
    """A decorator by which pytest calls ``test(check)`` for each check of each method.

    ``check()`` raises ``Broken``, or what the method raised, where its property is absent.

    Args:
        chosen: names of methods; of one in a file of your own, the file's path.

    Raises UserError if there is no such method.
    """
    import pytest

    names = [methods.register(it) if isinstance(it, Path) else it for it in chosen]
    cases = [(name, title) for name in names for title in checks_of(name)]
    held = [partial(CHECKS[title].holds, name) for name, title in cases]
    return pytest.mark.parametrize("check", held, ids=["-".join(case) for case in cases])


def check_method(name: str) -> bool:
    """Print a line per check: ok, or FAILED and why. Returns whether all are ok.

    Raises UserError if there is no such method, or its file cannot be imported.
    """
    file, sound = inspect.getfile(methods.method_class(name)), True
    torch.set_num_threads(1)  # on networks this small, more of them take longer
    for title in checks_of(name):
        try:
            CHECKS[title].holds(name)
            fault = None
        except Exception as error:
            fault = in_one_line(error, file)
        sound &= fault is None
        line = f"{'FAILED' if fault else 'ok':8}{title.replace('_', ' ')}"
        print(f"{line}: {fault}" if fault else line, flush=True)
    return sound


def in_one_line(error: Exception, file: str) -> str:
    """What went wrong and, if in the method's file, where."""
    message = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, Broken):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    place = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {message}{place}"
