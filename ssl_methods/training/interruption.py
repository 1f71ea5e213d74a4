"""SIGTERM and Ctrl-C while training: noted at once, obeyed at the end of the step.

SLURM and Snakemake send SIGTERM before they kill; who writes a checkpoint then loses nothing.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While it is entered, a signal is only noted in ``received``; a second Ctrl-C is obeyed at
    once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> Interruption:
        # Python allows handlers in the main thread alone; elsewhere nothing is noted.
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        else:
            self.before = {}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received != signal.SIGINT:  # Snakemake sends SIGTERM after it
            self.received = signal.Signals(number)
