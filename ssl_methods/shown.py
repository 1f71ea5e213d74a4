"""Text fit to be shown, in a log or on a page: no control characters, no passwords."""

from __future__ import annotations

import re
from typing import Any

# user:PASSWORD@host, to the last @ of the word: a password that was not encoded may hold one.
_IN_URL = re.compile(r"(?<=://)([^:/@\s]*):\S*@")
_IN_QUERY = re.compile(r"(?<=[?&])((?:ssl)?password|passwd|pwd)=[^&\s]*", re.IGNORECASE)

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that are not seen and change what is: controls, marks of direction, half pairs."""


def visible(text: str) -> str:
    """The text with hidden characters (``HIDDEN``; not tab and line's end) as '\\u202e'."""
    return HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """Visible, in one line."""
    return " ".join(visible(text).split())


def printable(text: str, most: int = 200) -> str:
    """Text of others with its control characters escaped, cut after ``most`` characters."""
    shown = "".join(it if it.isprintable() else ascii(it)[1:-1] for it in text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}..."


def masked(text: str) -> str:
    """The text with ``***`` for the password of each URL in it; one without is as it was."""
    return _IN_QUERY.sub(r"\1=***", _IN_URL.sub(r"\1:***@", text))


def has_password(text: str) -> bool:
    return bool(_IN_URL.search(text) or _IN_QUERY.search(text))


def all_masked(data: Any) -> Any:
    """A JSON value with every text in it ``masked``."""
    if isinstance(data, dict):
        return {key: all_masked(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [all_masked(value) for value in data]
    return masked(data) if isinstance(data, str) else data
