"""Which GPUs this process may use, each under one name.

A mask (CUDA_VISIBLE_DEVICES, inherited from a user or from SLURM) may name a GPU by number, by
UUID or by the first characters of one. All become the UUID where nvidia-smi knows it, so that two
jobs that were told of one GPU in different words lease the same one.

What a mask means is CUDA's to say (CUDA C++ Programming Guide, "CUDA Environment Variables"): it
ends at the first entry that names no GPU. The rest is as PyTorch reads it, which is what computes
here (``torch.cuda._parse_visible_devices``): the first entry decides whether numbers, GPUs' or MIG
devices' UUIDs are listed, and an entry of another kind names nothing; a number is the digits that
an entry begins with; a GPU that is named twice makes all invisible.
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

    A number is nvidia-smi's. Without nvidia-smi there is no telling which GPU an entry means, nor
    whether there is one: each is kept as it is.
    """
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    entries = None if mask is None else _entries(mask)
    if entries == []:
        return []
    listed = nvidia_smi()
    if entries is None:
        return [gpu for each in listed for gpu in each.usable]
    found: list[str] = []
    for entry in entries:
        named = _named(entry, listed) if listed else [entry]
        if not named:
            break
        if set(named) & set(found):
            return []
        found += named
    return found


def nvidia_smi() -> list[Listed]:
    """The GPUs of this machine (of this container or SLURM job, if that is what is shown)."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
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
    """Entries of one kind, that of the first, up to one that is of no kind: 'none', -1, nothing."""
    kind = next((kind for kind in ("GPU-", "MIG-") if mask.startswith(kind)), None)
    entries: list[str] = []
    for entry in mask.split(","):
        if kind is None:
            number = re.match(r"\s*\+?([0-9]+)", entry)
            named = (number[1].lstrip("0") or "0") if number else ""
        else:
            named = entry if entry.startswith(kind) else ""
        if not named:
            break
        if named in entries:
            return []
        entries.append(named)
    return entries


def _named(entry: str, listed: list[Listed]) -> list[str]:
    """The GPU that an entry means, or the parts of a divided one; none if it means none."""
    if entry.isdecimal():
        return {str(number): gpu.usable for number, gpu in enumerate(listed)}.get(entry, [])
    if re.fullmatch(r"MIG-GPU-[^/]+/[0-9]+/[0-9]+", entry):
        return [entry]  # the older name of a MIG device, which newer drivers take and do not list
    known = {part: [part] for gpu in listed for part in gpu.parts}
    known |= {gpu.uuid: gpu.usable for gpu in listed}
    meant = [name for name in known if name.startswith(entry)]
    return known[meant[0]] if len(meant) == 1 else []
