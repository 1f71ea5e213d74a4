"""Every check by its name, which of them concern a method, and what they found."""

from __future__ import annotations

import inspect
import traceback
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ssl_methods import methods
from ssl_methods.checks import documentation, learning, runs, settings
from ssl_methods.checks.check import Broken, Check, Remark, Skipped
from ssl_methods.errors import UserError

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
    return [title for title, check in CHECKS.items() if not check.spares(kind)]


def parametrize(chosen: Sequence[str | Path]) -> pytest.MarkDecorator:
    """A decorator by which pytest calls ``test(check)`` for each check of each method.

    ``check()`` raises ``Broken``, or what the method raised, where its property is absent. What
    cannot be asked of a method is skipped, and a remark is a warning.

    Args:
        chosen: names of methods; of one in a file of your own, the file's path.

    Raises UserError if there is no such method.
    """
    import pytest

    def holds(name: str, title: str) -> None:
        try:
            CHECKS[title].holds(name)
        except Skipped as why:
            pytest.skip(str(why))
        except Remark as said:
            warnings.warn(f"{name}: {said}", stacklevel=2)

    names = [methods.register(it) if isinstance(it, Path) else it for it in chosen]
    cases = [(name, title) for name in names for title in checks_of(name)]
    held = [partial(holds, *case) for case in cases]
    return pytest.mark.parametrize("check", held, ids=["-".join(case) for case in cases])


def check_method(name: str) -> bool:
    """Print a line per check: ok, note, skipped and why, or FAILED and why, each reason once.

    Returns whether none failed. Raises UserError if there is no such method, or its file cannot be
    imported.
    """
    kind = methods.method_class(name)
    reasons: dict[str, str] = {}
    torch.set_num_threads(1)  # on networks this small, more of them take longer
    for title, check in CHECKS.items():
        words = title.replace("_", " ")
        sign, said = ("skipped", why) if (why := check.spares(kind)) else _asked(check, name, kind)
        if sign == "FAILED":
            first = reasons.setdefault(said, words)
            said = said if first == words else f"for the same reason as '{first}'"
        print(f"{sign:8}{words}{f': {said}' if said else ''}", flush=True)
    return not reasons


def _asked(check: Check, name: str, kind: type) -> tuple[str, str]:
    """What is printed of a check: a sign, and why."""
    try:
        check.holds(name)
    except Skipped as why:
        return "skipped", str(why)
    except Remark as said:
        return "note", str(said)
    except Exception as error:
        return "FAILED", in_one_line(error, kind)
    return "ok", ""


def in_one_line(error: Exception, kind: type) -> str:
    """What went wrong in words and, of an error that the method raised, where in its file."""
    file = inspect.getfile(kind)
    message = str(error).strip().splitlines()[0] if str(error).strip() else ""
    if isinstance(error, Broken):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    if "'NoneType'" in message and "level_set" not in getattr(kind, "targets", ()):
        message += "; batch.level_sets is there with targets = frozenset({'level_set'}) alone"
    if isinstance(error, UserError):
        loss = getattr(kind, "loss", None)
        if not lines and loss is not None and inspect.getfile(loss) == file:
            lines = [inspect.getsourcelines(loss)[1]]
    else:
        message = f"{type(error).__name__}: {message}"
    place = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    return f"{message}{place}"
