"""Which GPUs this process may use, each under one name.

A mask (CUDA_VISIBLE_DEVICES, inherited from a user or from SLURM) may name a GPU by number, by
UUID or by the first characters of one. All become the UUID where nvidia-smi knows it, so that two
jobs that were told of one GPU in different words lease the same one.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field


@dataclass
class Listed:
    """A GPU as nvidia-smi lists it, and the MIG devices into which it is divided."""

    uuid: str
    parts: list[str] = field(default_factory=list)

    @property
    def usable(self) -> list[str]:
        """A divided GPU is used by its parts: a process is given one of them."""
        return self.parts or [self.uuid]


def visible_gpus() -> list[str]:
    """Ids of the GPUs this process may use, in order, none twice: what the mask names, else all.

    A number is nvidia-smi's. An entry that nvidia-smi does not know (or if there is no nvidia-smi)
    is kept as it is. As in CUDA, a mask ends at -1.
    """
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    entries = None if mask is None else _entries(mask)
    if entries == []:
        return []
    listed = nvidia_smi()
    if entries is None:
        entries = [gpu.uuid for gpu in listed]
    return list(dict.fromkeys(gpu for entry in entries for gpu in _resolve(entry, listed)))


def nvidia_smi() -> list[Listed]:
    """The GPUs of this machine (of this container or SLURM job, if that is what is shown)."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return []
    gpus: list[Listed] = []
    for line in listing.stdout.splitlines():
        found = re.search(r"\(UUID: ((GPU|MIG)-[^)\s]+)\)", line)
        if found is None:
            continue
        if found[2] == "GPU":
            gpus.append(Listed(found[1]))
        elif gpus:
            gpus[-1].parts.append(found[1])
    return gpus


def _entries(mask: str) -> list[str]:
    entries = [entry.strip() for entry in mask.split(",")]
    end = entries.index("-1") if "-1" in entries else len(entries)
    return [entry for entry in entries[:end] if entry]


def _resolve(entry: str, listed: list[Listed]) -> list[str]:
    if entry.isdecimal():
        return listed[int(entry)].usable if int(entry) < len(listed) else [entry]
    known = {part: [part] for gpu in listed for part in gpu.parts}
    known |= {gpu.uuid: gpu.usable for gpu in listed}
    meant = [name for name in known if name.startswith(entry)]
    return known[meant[0]] if len(meant) == 1 else [entry]
