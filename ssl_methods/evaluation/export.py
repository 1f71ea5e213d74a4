"""The verb `export`: trained runs as files that can be used where they were not made.

In: folders of runs. Out: a ZIP file for `predict` and ``ssl_methods.load``, or the network alone,
on one patch, as ONNX or TorchScript. Each is read again after it is written; a network must give
what PyTorch gives, within ``TOLERANCE``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_methods.errors import UserError
from ssl_methods.evaluation.archive import folders_of, pack
from ssl_methods.evaluation.trained import Model, Trained, open_trained
from ssl_methods.files import write_with
from ssl_methods.methods.base import Method

TOLERANCE = 1e-4
"""How far an exported network's probabilities may lie from PyTorch's, on one patch of noise."""


def export(
    runs: Sequence[Path],
    results: Path,
    archive: Path | None = None,
    onnx: Path | None = None,
    torchscript: Path | None = None,
) -> list[Path]:
    """Write what is asked for, and return the files.

    Args:
        runs: folders, or archives; several are an ensemble, which only an archive can hold.
        results: the folder that holds ``prepared/``, for runs of earlier versions.
        archive: a ``.zip`` for `predict` and ``ssl_methods.load``.
        onnx, torchscript: the network, from a patch (N, C, *patch) float32, prepared as the data
            were, to probabilities (N, K, *patch) in 0..1; N is free.

    Raises:
        UserError: a run is not trained or damaged, several runs are of different data, a network is
            asked for and there is none or more than one, what ONNX needs is not installed, or what
            was written does not give what PyTorch gives.
    """
    if not (archive or onnx or torchscript):
        raise UserError("nothing to write: give --out FILE.zip, --onnx or --torchscript")
    if archive and archive.suffix.lower() != ".zip":
        raise UserError(f"{archive}: name it FILE.zip, by which 'predict' knows it")
    with folders_of(runs) as folders:
        members = [open_trained(folder, results) for folder in folders]
        if archive is not None:
            _write_archive(archive, members)
    for path, write in ((onnx, _write_onnx), (torchscript, _write_torchscript)):
        if path is not None:
            _write_network(path, members, write)
    return [path for path in (archive, onnx, torchscript) if path is not None]


def _write_archive(path: Path, members: Sequence[Trained]) -> None:
    Model(members)  # of different data they are no ensemble
    pack(path, [(member.portable_record(), member.record.folder) for member in members])
    with folders_of([path]) as folders:
        for member, folder in zip(members, folders, strict=True):
            again = open_trained(folder, Path()).method.state_dict()
            state = member.method.state_dict()
            if any(not torch.equal(again[name], state[name]) for name in state):
                raise UserError(f"{path}: does not hold what was written; try another disk")


# ---- the network alone ---------------------------------------------------------------------------

Network = Callable[[Tensor], Tensor]


class _Predict(nn.Module):
    """``Method.predict`` as a module's ``forward``."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, image: Tensor) -> Tensor:
        return self.method.predict(image)


def _write_network(
    path: Path, members: Sequence[Trained], write: Callable[[Path, nn.Module, Tensor], Network]
) -> None:
    if len(members) > 1:
        raise UserError(f"{path}: is for the network of one run; export an ensemble with --out")
    member = members[0]
    if member.method.whole_image:
        raise UserError(
            f"{member.record.folder}: {member.run.choice.method} has no network to export"
        )
    shape = (2, member.data.channels, *member.run.training.patch_size)
    patches = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    module = _Predict(member.method).eval()
    with torch.inference_mode(False), torch.no_grad():
        expected = module(patches)
        written = write(path, module, patches)
        for some in (patches, patches[:1]):
            furthest = (written(some) - expected[: len(some)]).abs().max().item()
            if not furthest <= TOLERANCE:
                path.unlink()
                raise UserError(
                    f"{path}: its probabilities differ from PyTorch's by {furthest:.2g}, more than "
                    f"{TOLERANCE:g}; it is removed"
                )


def _write_torchscript(path: Path, module: nn.Module, patches: Tensor) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that are fixed, which patches' are
        traced = torch.jit.trace(module, patches, check_trace=False)
    write_with(path, lambda file: torch.jit.save(traced, file))
    return torch.jit.load(path)


def _write_onnx(path: Path, module: nn.Module, patches: Tensor) -> Network:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path}: ONNX needs {error.name}: pip install 'ssl-methods[export]'"
        ) from None
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (patches,),
            content,  # type: ignore[arg-type]  # a file, as documented for this exporter
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_axes={"image": {0: "batch"}, "probabilities": {0: "batch"}},
            dynamo=False,
        )
    write_with(path, lambda file: file.write(content.getvalue()))
    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(image: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(session.run(None, {"image": image.numpy()})[0]))

    return run
