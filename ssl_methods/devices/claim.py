"""The device of a job: a GPU that no other job was given, or the CPU."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ssl_methods.devices.gpus import visible_gpus
from ssl_methods.devices.host_memory import keep_freed_memory
from ssl_methods.devices.leases import lease
from ssl_methods.errors import UserError

if TYPE_CHECKING:
    import torch

    from ssl_methods.config import TrainingConfig

log = logging.getLogger(__name__)


@contextmanager
def claim(
    wanted: str = "auto", runs_per_gpu: int = 1, run: str = "unnamed"
) -> Iterator[torch.device]:
    """The device of this job while the block runs: a leased GPU, or the CPU, which is said.

    Args:
        wanted: ``auto`` (a GPU if one is visible), ``cpu`` or ``cuda``.
        runs_per_gpu: with how many runs on its GPU this one agrees, itself counted.
        run: what others are told that the GPU is used for.

    Raises:
        UserError: ``cuda`` is asked for and there is none, this PyTorch cannot use it, or its
            memory does not suffice.
    """
    gpus = [] if wanted == "cpu" else visible_gpus()
    if gpus:
        with lease(gpus, run, runs_per_gpu) as (gpu, _):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            with _memory_suffices(gpu):
                yield _cuda(gpu)
        return
    if wanted == "cuda":
        raise UserError(
            "training.device is 'cuda', but no GPU is visible here; use 'auto' or 'cpu'"
        )
    import torch

    keep_freed_memory()
    log.warning("computing on the CPU%s", "" if wanted == "cpu" else ": no GPU is visible")
    yield torch.device("cpu")


@contextmanager
def computing(training: TrainingConfig, what: str) -> Iterator[torch.device]:
    """The device of a job while it computes, with the threads and determinism of its settings.

    ``what`` is told to those who wait for the GPU, e.g. "train <folder>". Raises UserError as
    ``claim`` does.
    """
    import torch

    with claim(training.device, training.runs_per_gpu, what) as device:
        torch.set_num_threads(training.cpu_threads)
        deterministic(training.deterministic)
        yield device


def described(device: torch.device, training: TrainingConfig) -> str:
    """'GPU 0 (NVIDIA H100)', of which only the job that claimed it knows; '2 cores'."""
    if device.type == "cuda":
        import torch

        gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return f"GPU {gpu[:12]} ({torch.cuda.get_device_name(device)})"
    return f"{training.cpu_threads} core{'s' if training.cpu_threads > 1 else ''}"


def _cuda(gpu: str) -> torch.device:
    # cuBLAS is deterministic only with a fixed workspace, chosen before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            f"GPU {gpu} is visible, but this PyTorch ({torch.__version__}) cannot use it"
        )
    log.info("computing on %s (%s)", gpu, torch.cuda.get_device_name())
    if gpu.isdecimal():
        log.info("nvidia-smi does not list it: a job that names it by its UUID is not kept off it")
    return torch.device("cuda")


def deterministic(wanted: bool) -> None:
    """The same operations give the same bits; one that cannot is an error.

    As ``torch.use_deterministic_algorithms``, which also loads PyTorch's compiler: as long again as
    PyTorch itself takes, in every evaluation.
    """
    import torch

    torch.set_deterministic_debug_mode("error" if wanted else "default")


@contextmanager
def _memory_suffices(gpu: str) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"GPU {gpu}: out of memory; try a smaller evaluation.window_batch or"
            f" training.runs_per_gpu ({str(error).splitlines()[0]})"
        ) from None
