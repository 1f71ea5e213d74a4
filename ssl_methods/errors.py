"""What ends a verb with one line and no traceback."""

from __future__ import annotations

import signal


class UserError(Exception):
    """Bad input. The message names the file, key or case and says what to do."""


def printable(text: object) -> str:
    """One line that is safe on a terminal: white space joined, control characters escaped."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Stopped(BaseException):
    """A signal asked the process to end; its exit status is the conventional 128 + signal."""

    def __init__(self, number: int, what: str = "") -> None:
        super().__init__(number, what)
        self.status = 128 + number
        self.what = what

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.status - 128).name}{self.what}"
