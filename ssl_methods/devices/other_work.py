"""How much of this machine other processes use: a time measured beside them tells little."""

from __future__ import annotations

import time

import psutil


def seconds_of_others() -> float:
    """CPU seconds that other processes have had since the machine was started, on all cores.

    What the host of a virtual machine took from it counts too.
    """
    spent = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # guests' time is in user's
    return sum(spent[kind] for kind in spent if kind not in idle) - time.process_time()


def cores() -> int:
    return psutil.cpu_count() or 1
