"""`ssl-methods VERB`, or `python -m ssl_methods VERB`: reads the arguments, and calls what works.

Every step of the workflow is one of these verbs, and each works by hand. Whatever is heavy is
imported by the verb that needs it, so that help and errors come at once.
"""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from ssl_methods.cli.arguments import arguments_of, parser
from ssl_methods.errors import Stopped, UserError, printable

__all__ = ["main", "parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit status: 0, 2 for the user's to mend, 130 if interrupted, 143
    if terminated."""
    try:
        arguments = arguments_of(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as in the background
            signal.signal(signal.SIGINT, _stop)
    for stream in (sys.stdout, sys.stderr):  # a locale may lack a letter of what is said
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # tells of every glyph of a PDF
    try:
        return int(arguments.verb(arguments) or 0)
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        name = printable(error.filename or "file system")
        print(f"error: {name}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.status


def _stop(number: int, _: object) -> None:
    """SIGTERM as Ctrl-C: temporary files are removed on the way out.

    Once: in a terminal Ctrl-C goes to a job and to its Snakemake, which then sends it SIGTERM.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt
    raise Stopped(number)
