"""The network alone: ONNX and TorchScript give what PyTorch gives, outside of this package too."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import tiny_experiment

from ssl_methods.errors import UserError
from ssl_methods.evaluation import export as exporting
from ssl_methods.evaluation.export import TOLERANCE, export
from ssl_methods.evaluation.trained import load
from ssl_methods.training.train import train


@pytest.fixture(scope="module")
def runs(prepared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("dtc", "mean_shape"):
        train(tiny_experiment(methods=[name]).run(name, 2, 0, 0), prepared_results, folder / name)
    return {name: folder / name for name in ("dtc", "mean_shape")}


def patches(count: int) -> torch.Tensor:
    return torch.randn((count, 1, 16, 16, 16), generator=torch.Generator().manual_seed(count))


def expected(run: Path, image: torch.Tensor) -> Any:
    with torch.no_grad():
        return load(run).members[0].method.predict(image).numpy()


def test_torchscript_gives_the_same_without_this_package(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "net.ts"
    assert export([runs["dtc"]], tmp_path, torchscript=path) == [path]
    torch.save(patches(3), tmp_path / "in.pt")
    program = (
        "import sys, torch; net = torch.jit.load(sys.argv[1]);"
        "torch.save(net(torch.load(sys.argv[2])).detach(), sys.argv[3]);"
        "sys.exit(any(name.startswith('ssl_methods') for name in sys.modules))"
    )
    files = [str(path), str(tmp_path / "in.pt"), str(tmp_path / "out.pt")]
    subprocess.run([sys.executable, "-c", program, *files], check=True, cwd=tmp_path)
    found = torch.load(tmp_path / "out.pt", weights_only=True).numpy()
    assert np.abs(found - expected(runs["dtc"], patches(3))).max() <= TOLERANCE


def test_onnx_gives_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    path = tmp_path / "net.onnx"
    export([runs["dtc"]], tmp_path, onnx=path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, made.name) == ("image", "probabilities")
    for count in (1, 3):  # the number of patches is free
        (found,) = session.run(None, {"image": patches(count).numpy()})
        assert np.abs(found - expected(runs["dtc"], patches(count))).max() <= TOLERANCE


def test_a_network_that_gives_something_else_is_not_left_there(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.jit.load
    monkeypatch.setattr(
        torch.jit, "load", lambda path: lambda image: real(path)(image) + 2 * TOLERANCE
    )
    with pytest.raises(UserError, match="differ from PyTorch's by"):
        export([runs["dtc"]], tmp_path, torchscript=tmp_path / "net.ts")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="nothing to write"):
        export([runs["dtc"]], tmp_path)
    with pytest.raises(UserError, match=r"name it FILE\.zip"):
        export([runs["dtc"]], tmp_path, tmp_path / "model.tar")
    with pytest.raises(UserError, match="ensemble"):
        export([runs["dtc"]] * 2, tmp_path, torchscript=tmp_path / "x.ts")
    with pytest.raises(UserError, match="mean_shape has no network"):
        export([runs["mean_shape"]], tmp_path, torchscript=tmp_path / "x.ts")
    real = builtins.__import__

    def without_onnx(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("onnx"):
            raise ImportError(name, name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(UserError, match=r"pip install 'ssl-methods\[export\]'"):
        exporting.export([runs["dtc"]], tmp_path, onnx=tmp_path / "x.onnx")
