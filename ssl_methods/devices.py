"""Which device a job computes on, and the lease that keeps two jobs off one GPU.

Snakemake counts `gpu=2` but never says which one. A lease is a file lock per device in a per-user
folder of this machine's temporary directory; the operating system releases it when the holder
dies, however it dies. Inside SLURM the scheduler has already chosen, and its mask is trusted.
Torch is imported only here inside.
"""

from __future__ import annotations

import getpass
import logging
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ssl_methods.errors import UserError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


def visible_gpus() -> list[str]:
    """Ids of the GPUs this process may use: the entries of CUDA_VISIBLE_DEVICES, else UUIDs of
    nvidia-smi."""
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    if mask is not None:
        ids = [entry.strip() for entry in mask.split(",")]
        return [entry for entry in ids if entry and entry != "-1"]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [
        line.split("UUID: ")[1].rstrip(")")
        for line in listing.stdout.splitlines()
        if line.startswith("GPU ")
    ]


def lease_folder() -> Path:
    """Where this machine's leases are; never on a shared file system."""
    return Path(tempfile.gettempdir(), f"ssl-methods-gpus-{getpass.getuser()}")


@contextmanager
def lease(gpus: list[str]) -> Iterator[str]:
    """Hold one of ``gpus`` while the block runs; waits, saying so, while all are held."""
    folder = lease_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    told = False
    while True:
        for gpu in gpus:
            lock = FileLock(folder / f"{gpu.replace('/', '_')}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield gpu
            finally:
                lock.release()
            return
        if not told:
            log.warning(
                "waiting for a GPU: all of %s are held (did you pass --resources gpu=%d?)",
                gpus,
                len(gpus),
            )
            told = True
        time.sleep(random.uniform(0.2, 1.0))


@contextmanager
def claim(wanted: str = "auto") -> Iterator[torch.device]:
    """The device of this job: a leased GPU, or the CPU, which is said.

    Args:
        wanted: ``auto`` (a GPU if one is visible), ``cpu`` or ``cuda``.

    Raises:
        UserError: ``cuda`` is asked for and there is none, or this PyTorch cannot use it.
    """
    gpus = [] if wanted == "cpu" else visible_gpus()
    if not gpus:
        if wanted == "cuda":
            raise UserError(
                "training.device is 'cuda', but no GPU is visible here; use 'auto' or 'cpu'"
            )
        import torch

        log.warning("computing on the CPU%s", "" if wanted == "cpu" else ": no GPU is visible")
        yield torch.device("cpu")
    elif "SLURM_JOB_ID" in os.environ:
        yield _cuda(gpus[0])
    else:
        with lease(gpus) as gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            yield _cuda(gpu)


def _cuda(gpu: str) -> torch.device:
    # cuBLAS is deterministic only with a fixed workspace, chosen before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            f"GPU {gpu} is visible, but this PyTorch ({torch.__version__}) cannot use it"
        )
    log.info("computing on %s (%s)", gpu, torch.cuda.get_device_name())
    return torch.device("cuda")


def describe_devices() -> list[dict[str, str]]:
    """Each visible GPU and whether a job holds it."""
    rows = []
    for gpu in visible_gpus():
        lock = FileLock(lease_folder() / f"{gpu.replace('/', '_')}.lock")
        try:
            lease_folder().mkdir(mode=0o700, exist_ok=True)
            lock.acquire(timeout=0)
            lock.release()
            rows.append({"gpu": gpu, "state": "free"})
        except Timeout:
            rows.append({"gpu": gpu, "state": "held"})
    return rows
