"""What ends a verb with one line and no traceback."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The message names the file, key or case and says what to do.

    It has a line for each fault; what it quotes of others' files can be shown on a terminal.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__("\n".join(map(_escaped, str(message).split("\n"))))


def did_you_mean(word: object, words: Iterable[object]) -> str:
    """'; did you mean ...?' or the list of valid names if none is near."""
    known = [str(name) for name in words]
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(known))}"


def printable(text: object, most: int = 1000) -> str:
    """One line that is safe on a terminal: white space joined, control characters escaped.

    It is cut after ``most`` characters.
    """
    line = " ".join(str(text).split())
    line = line if len(line) <= most else f"{line[:most]}..."
    return _escaped(line)


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Stopped(BaseException):
    """A signal asked the process to end; its exit status is the conventional 128 + signal."""

    def __init__(self, number: int, what: str = "") -> None:
        super().__init__(number, what)
        self.status = 128 + number
        self.what = what

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.status - 128).name}{self.what}"
